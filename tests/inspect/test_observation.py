"""What is said about a network at work equals what can be counted by hand."""

from functools import partial

import pytest
import torch

from lit_delays.inspect.observation import observe
from lit_delays.inspect.summary import count_parameters, describe
from lit_delays.inspect.tables import chip_table, layer_table
from lit_delays.snn.delays import SummedDelays
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.neurons import PLIF, ReLU
from lit_delays.snn.recorder import Recorder
from lit_delays.snn.synapses import RecurrentDelays, SynapticDelays


def tiny(hidden_sizes=(5, 5), neuron=None, layers=(), **synapses):
    chosen = {} if neuron is None else {"neuron": neuron}
    made = partial(SynapticDelays, **{"max_delay_ms": 50.0, **synapses})
    return Network(
        NetworkConfig(
            num_inputs=4, num_classes=3, hidden_sizes=hidden_sizes, synapses=made, layers=layers, **chosen
        )
    )


class Batch:
    def __init__(self, counts, labels):
        self._counts, self.labels, self.lengths = counts, torch.as_tensor(labels), None

    def counts(self):
        return self._counts


def batches():
    random = torch.Generator().manual_seed(0)
    return [
        Batch((torch.rand(10, 6, 4, generator=random) < 0.4).float() * 2, [0, 1, 2] * 2) for _ in range(2)
    ]


def test_the_confusion_counts_every_sample_once():
    network = tiny()
    observation = observe(network, batches())
    assert observation.confusion.sum(dim=1).tolist() == [4, 4, 4]
    network.eval()
    right = sum(
        int((network(batch.counts()).softmax(-1).sum(0).argmax(-1) == batch.labels).sum())
        for batch in batches()
    )
    assert observation.accuracy == pytest.approx(right / 12)


@pytest.mark.parametrize("fan_in", [None, 2])
def test_synaptic_operations_are_the_events_times_their_synapses(fan_in):
    network = tiny(fan_in=fan_in).eval()
    operations = observe(network, batches()).synaptic_operations
    by_hand = dict.fromkeys(operations, 0)
    with Recorder(network) as recorder:
        for batch in batches():
            network(batch.counts())
            for name, synapses in network.named_synapses().items():
                x = recorder.record[name].heard
                for i in range(x.shape[2]):
                    exists = int(synapses.mask[:, i].sum()) if fan_in else synapses.num_outputs
                    by_hand[name] += int((x[:, :, i] > 0).sum()) * exists
    assert operations == pytest.approx({name: count / 12 for name, count in by_hand.items()})


def test_rates_are_in_hertz_and_silence_is_a_share_of_neurons():
    network = tiny()
    with torch.no_grad():
        network.layers[0].norm.bias[:2] = 100.0  # two neurons spike in every step
        network.layers[0].norm.bias[2:] = -100.0  # and three never
    observation = observe(network, batches())
    assert observation.firing_rates["hidden1"] == pytest.approx(100 * 2 / 5)
    assert observation.silent["hidden1"] == pytest.approx(3 / 5)


def test_looking_changes_nothing():
    network = tiny().train()
    network.layers[0].norm.eval()  # as where a norm is frozen
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state, modes = torch.get_rng_state(), [module.training for module in network.modules()]
    observe(network, batches())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_looking_waits_for_no_other_process_of_a_training(monkeypatch):
    monkeypatch.setattr("torchmetrics.metric.jit_distributed_available", lambda: True)
    assert observe(tiny(), batches()).confusion.sum() == 12


def cells_of(lines):
    return {row[0]: row[1:] for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}


def test_the_table_tells_what_the_layers_hold():
    network = tiny()
    with torch.no_grad():
        network.readout.synapses.delay.fill_(4.0)
        network.layers[1].synapses.delay.fill_(2.0)
    cells = cells_of(layer_table(network, None))
    assert cells["layer"] == ["hidden1", "hidden2", "readout", "all"]
    assert cells["synapses"] == ["20", "25", "15", "60"]
    assert cells["delays (ms)"][1:3] == ["20 to 20", "40 to 40"]
    assert cells["at the longest"][1:3] == ["0.0%", "100.0%"]
    assert cells["delay memory (slots)"][1:3] == [str(5 * 2), str(5 * 4)]
    assert cells["firing rate (1/s)"][0] == "needs data"


def test_the_table_has_each_layer_with_its_own_size_window_and_neuron():
    none, short = (
        LayerConfig(synapses=partial(SynapticDelays, **own), neuron=ReLU)
        for own in ({"delays": "none"}, {"delays": "fixed", "max_delay_ms": 30.0})
    )
    network = tiny(hidden_sizes=(7, 2), layers=[none, short])
    observation = observe(network, batches())
    cells = cells_of(layer_table(network, observation))
    assert cells["synapses"] == ["28", "14", "6", "48"]
    assert cells["delays (ms)"][0] == "none"
    assert [cell.rpartition(" ")[2] for cell in cells["distinct delays"][1:3]] == ["3", "5"]
    assert cells["firing rate (1/s)"][0] == f"{observation.firing_rates['hidden1']:.1f}"


@pytest.mark.parametrize(("max_delay_ms", "verdict"), [(250, "too long: 24"), (150, "fits: 14")])
def test_a_chip_holds_delays_up_to_its_longest(max_delay_ms, verdict):
    loihi, spinnaker = chip_table(tiny((30, 30), max_delay_ms=max_delay_ms))[-2:]
    assert "fits" in loihi
    assert verdict in spinnaker


@pytest.mark.parametrize(
    ("layers", "synapses", "expected"),
    [(2, 1, 705_536), (2, 2, 1_409_024), (3, 1, 1_230_848), (3, 2, 2_458_624)],
)
def test_parameters_are_counted_as_the_paper_counts_them(layers, synapses, expected):
    made = partial(SynapticDelays, num_synapses=synapses, max_delay_ms=300.0)
    config = NetworkConfig(num_classes=35, hidden_sizes=[512] * layers, synapses=made)
    assert count_parameters(Network(config)) == expected


@pytest.mark.parametrize(("delays", "per_synapse"), [("learned", 2), ("fixed", 1), ("none", 1)])
def test_synapses_that_do_not_exist_are_not_counted(delays, per_synapse):
    made = partial(SynapticDelays, fan_in=10, delays=delays)
    config = NetworkConfig(num_inputs=30, num_classes=4, hidden_sizes=[20, 20], synapses=made)
    neurons = 20 + 20 + 4
    assert count_parameters(Network(config)) == neurons * 10 * per_synapse + 2 * (20 + 20)


def test_a_network_in_one_line_names_what_is_not_the_papers():
    none = LayerConfig(synapses=partial(SynapticDelays, delays="none"), neuron=PLIF)
    assert describe(tiny(delays="none")) == "4-5-5-3, no delays, 80 parameters"
    assert describe(tiny((7, 2), layers=[none])) == (
        "4-7-2-3, learned delays up to 40 ms, PLIF, 87 parameters"
    )
    without_delays = partial(RecurrentDelays, delays=partial(SummedDelays, learned=()))
    config = NetworkConfig(hidden_sizes=[5], synapses=none.synapses, recurrent=without_delays)
    assert describe(Network(config)).startswith("140-5-20, no delays, recurrent: no delays, ")
