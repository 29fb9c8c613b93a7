"""What is said about a network at work equals what can be counted by hand."""

import pytest
import torch

from lit_delays.experiments.anatomy import anatomy, chips
from lit_delays.experiments.evidence import observe
from lit_delays.snn.network import DelaySNN, NetworkConfig

TINY = NetworkConfig(num_inputs=4, num_classes=3, hidden_size=5, max_delay_ms=50)


class Batch:
    def __init__(self, counts, labels):
        self._counts, self.labels = counts, torch.as_tensor(labels)

    def counts(self):
        return self._counts


def batches():
    random = torch.Generator().manual_seed(0)
    return [
        Batch((torch.rand(10, 6, 4, generator=random) < 0.4).float() * 2, [0, 1, 2] * 2) for _ in range(2)
    ]


def test_the_confusion_counts_every_sample_once():
    network = DelaySNN(TINY)
    evidence = observe(network, batches())
    assert evidence.confusion.sum(dim=1).tolist() == [4, 4, 4]
    network.eval()
    right = sum(
        int((network(batch.counts()).softmax(-1).sum(0).argmax(-1) == batch.labels).sum())
        for batch in batches()
    )
    assert evidence.accuracy == pytest.approx(right / 12)


@pytest.mark.parametrize("fan_in", [None, 2])
def test_synaptic_operations_are_the_events_times_their_synapses(fan_in):
    network = DelaySNN(NetworkConfig(**{**vars(TINY), "fan_in": fan_in})).eval()
    operations = observe(network, batches()).synaptic_operations
    spikes = []
    for batch in batches():
        network(batch.counts(), watch=lambda _, output: spikes.append(output))
    inputs = {
        "hidden1": torch.cat([batch.counts() for batch in batches()], 1),
        "hidden2": torch.cat(spikes[::2], 1),
        "readout": torch.cat(spikes[1::2], 1),
    }
    for (name, x), layer in zip(inputs.items(), network.delay_layers(), strict=True):
        by_hand = 0
        for i in range(x.shape[2]):
            synapses = int(layer.mask[:, i].sum()) if fan_in else layer.weight.shape[0]
            by_hand += int((x[:, :, i] > 0).sum()) * synapses
        assert operations[name] == pytest.approx(by_hand / 12)


def test_rates_are_in_hertz_and_silence_is_a_share_of_neurons():
    network = DelaySNN(TINY)
    with torch.no_grad():
        network.hidden[0].norm.bias[:2] = 100.0  # two neurons spike in every step
        network.hidden[0].norm.bias[2:] = -100.0  # and three never
    evidence = observe(network, batches())
    assert evidence.firing_rates["hidden1"] == pytest.approx(100 * 2 / 5)
    assert evidence.silent["hidden1"] == pytest.approx(3 / 5)


def test_looking_changes_nothing():
    network = DelaySNN(TINY).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    observe(network, batches())
    assert network.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_table_tells_what_the_layers_hold():
    network = DelaySNN(TINY)
    with torch.no_grad():
        network.readout.delay.fill_(4.0)
        network.hidden[1].delays.delay.fill_(2.0)
    lines = anatomy(network, None)
    cells = {row[0]: row[1:] for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}
    assert cells["layer"] == ["hidden1", "hidden2", "readout", "all"]
    assert cells["synapses"] == ["20", "25", "15", "60"]
    assert cells["delays (ms)"][1:3] == ["20 to 20", "40 to 40"]
    assert cells["at the longest"][1:3] == ["0.0%", "100.0%"]
    assert cells["delay memory (slots)"][1:3] == [str(5 * 2), str(5 * 4)]
    assert cells["firing rate (1/s)"][0] == "needs data"


@pytest.mark.parametrize(("max_delay_ms", "verdict"), [(250, "too long: 24"), (150, "fits: 14")])
def test_a_chip_holds_delays_up_to_its_longest(max_delay_ms, verdict):
    config = NetworkConfig(**{**vars(TINY), "max_delay_ms": max_delay_ms, "hidden_size": 30})
    loihi, spinnaker = chips(DelaySNN(config))[-2:]
    assert "fits" in loihi
    assert verdict in spinnaker
