"""One definition of activity, of synaptic operations and of memory, each held to a count by hand."""

from functools import partial

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from lit_delays.deploy.deploy import deploy
from lit_delays.metrics import Activity, SynapticOperations, delay_histogram, footprints
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.neurons import ReLU
from lit_delays.snn.recorder import LayerRecord, Recorder
from lit_delays.snn.synapses import Synapses, SynapticDelays


def network_of(hidden_sizes=(24, 24), neuron=None, **synapses):
    """An untrained network whose layers fire, in evaluation."""
    chosen = {} if neuron is None else {"neuron": neuron}
    config = NetworkConfig(
        num_inputs=20,
        num_classes=10,
        hidden_sizes=hidden_sizes,
        synapses=partial(SynapticDelays, **{"max_delay_ms": 110.0, **synapses}),
        **chosen,
    )
    network = Network(config)
    for layer in network.layers:
        nn.init.constant_(layer.norm.bias, 0.3)
    return network.eval().requires_grad_(False)


@pytest.fixture
def counts():
    return torch.randint(0, 3, (30, 4, 20)).float()


def record_of(network, counts):
    with Recorder(network) as recorder:
        network(counts)
    return recorder.record


def operations(network, *batches):
    metric = SynapticOperations(network)
    for counts in batches:
        metric.update(record_of(network, counts))
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.mark.parametrize("training", [True, False])
def test_a_recorder_changes_nothing_and_leaves_nothing(training, counts):
    network = network_of().requires_grad_(True).train(training)
    state = torch.get_rng_state()
    alone = network(counts)
    torch.set_rng_state(state)
    with Recorder(network) as recorder:
        recorded = network(counts)
    assert torch.allclose(recorded, alone)
    assert torch.equal(recorder.record["readout"].output, recorded)
    assert torch.equal(recorder.record["hidden1"].heard, counts)
    assert not recorder.record["hidden2"].output.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_record_is_of_one_forward_pass(counts):
    network = network_of()
    with Recorder(network) as recorder:
        network(counts)
        first = recorder.record
        network(counts[:5, :1])
    assert list(recorder.record) == ["hidden1", "hidden2", "readout"]
    assert recorder.record["hidden1"].heard.shape == (5, 1, 20)
    assert first["hidden1"].heard.shape == (30, 4, 20)


def test_operations_are_those_that_neurobench_counts(counts):
    layers = pytest.importorskip("neurobench.metrics.utils.layers")
    network = deploy(network_of(delays="none", fan_in=9))
    record, macs, acs, dense = record_of(network, counts), 0.0, 0.0, 0.0
    for name, synapses in network.named_synapses().items():
        x, linear = record[name].heard, nn.Linear(*reversed(synapses.weight.shape[:2]))
        linear.weight.data, linear.bias.data = synapses.weight[:, :, 0].clone(), synapses.bias.clone()
        operations_, spiking = layers.single_layer_MACs(x, linear)
        acs, macs = (acs + operations_, macs) if spiking else (acs, macs + operations_)
        dense += layers.single_layer_MACs(x, linear, total=True)[0]
    measured = operations(network, counts)
    assert macs > 0
    assert acs > 0
    for name, expected in {"effective_macs": macs, "effective_acs": acs, "dense": dense}.items():
        assert measured[name] == pytest.approx(float(expected) / counts.shape[1], rel=1e-6)


def test_a_spike_costs_its_synapses_and_no_spike_none():
    network = deploy(network_of(hidden_sizes=[24], fan_in=9))
    for synapses in network.named_synapses().values():
        synapses.weight.fill_(0)
        synapses.bias.fill_(0)
    network.layers[0].synapses.weight[:5, 2] = 0.01  # input 2 has 5 synapses, the others none
    counts = torch.zeros(7, 4, 20)
    counts[3, 0, 2] = counts[4, 1, 2] = counts[4, 1, 3] = 1
    cost = operations(network, counts)
    assert cost["effective_acs"] == cost["effective/hidden1"] == 2 * 5 / 4
    assert cost["effective_macs"] == cost["effective/readout"] == 0
    assert cost["dense"] == 7 * 20 * 24 + (7 + 5) * 24 * 10
    counts[3, 0, 2] = 2  # not a spike: the weight must be multiplied
    assert operations(network, counts)["effective_macs"] == 2 * 5 / 4


def test_the_average_does_not_depend_on_the_batches(counts):
    network = network_of()
    whole = operations(network, counts)
    assert operations(network, counts[:, :1], counts[:, 1:]) == pytest.approx(whole)


def test_a_count_above_one_in_one_sample_costs_the_same_whatever_the_batches():
    network, counts = network_of(), torch.zeros(30, 4, 20)
    counts[3], counts[5, 2, 1] = 1, 2
    whole = operations(network, counts)
    assert whole["effective_macs"] > 0
    for size in (1, 2, 3):
        assert operations(network, *counts.split(size, dim=1)) == pytest.approx(whole)


def test_costs_and_accuracy_share_a_collection(counts):
    network = network_of()
    together = MetricCollection(
        [Activity(network), SynapticOperations(network), MulticlassAccuracy(10, average="micro")]
    )
    record, labels = record_of(network, counts), torch.arange(4)
    together.update(record=record, preds=torch.eye(4, 10), target=labels)
    whole, alone = together.compute(), operations(network, counts)
    assert float(whole["MulticlassAccuracy"]) == 1
    assert {name: float(whole[name]) for name in alone} == alone
    assert "firing_rate/hidden1" in whole
    forward = together(record=record, preds=torch.eye(4, 10), target=labels)
    assert forward.keys() == whole.keys()


@pytest.mark.parametrize("kind", [Activity, SynapticOperations])
def test_a_metric_takes_the_options_of_torchmetrics_and_draws_itself(kind, counts):
    network = network_of()
    metric = kind(network, sync_on_compute=False, compute_with_cache=False)
    assert not metric.sync_on_compute
    metric.update(record_of(network, counts))
    figure, axes = metric.plot()
    assert len(figure.axes) == 1
    assert len(axes.lines) == len(metric.compute())
    plt.close(figure)


@pytest.mark.parametrize("options", [{}, {"fan_in": 9, "num_synapses": 2}, {"delays": "none"}])
def test_a_network_costs_what_it_costs_deployed(options, counts):
    network = network_of(**options)
    assert operations(network, counts) == operations(deploy(network), counts)
    assert footprints(network) == footprints(deploy(network))


def test_activity_is_spikes_per_second_and_neuron(counts):
    network = network_of().double()
    activity, record = Activity(network), record_of(network, counts.double())
    activity.update(record)
    measured, hidden = activity.compute(), [record["hidden1"].output, record["hidden2"].output]
    for index, spikes in enumerate(hidden):
        assert float(measured[f"firing_rate/hidden{index + 1}"]) == pytest.approx(100 * float(spikes.mean()))
    silent = sum(int((spikes == 0).sum()) for spikes in hidden) / sum(spikes.numel() for spikes in hidden)
    assert float(measured["activation_sparsity"]) == pytest.approx(silent)


def test_a_long_batch_weighs_more_than_a_short_one():
    activity = Activity(network_of(hidden_sizes=[2]))
    for steps, spikes in ((10, 1.0), (30, 0.0)):
        activity.update(
            {"hidden1": LayerRecord(torch.zeros(steps, 3, 20), torch.full((steps, 3, 2), spikes))}
        )
    assert float(activity.compute()["firing_rate/hidden1"]) == pytest.approx(100 * 10 / 40)


def test_a_neuron_that_never_fired_is_silent_whatever_its_output_is_made_of(counts):
    network = network_of(neuron=ReLU)
    network.layers[0].norm.weight[:6], network.layers[0].norm.bias[:6] = 0.0, -1.0
    activity = Activity(network)
    record = record_of(network, counts)
    activity.update(record)
    assert float(activity.compute()["silent/hidden1"]) == 6 / 24
    fired = float((record["hidden2"].output != 0).float().mean())
    assert float(activity.compute()["firing_rate/hidden2"]) == pytest.approx(100 * fired)


def test_a_footprint_in_closed_form():
    network = deploy(network_of(hidden_sizes=[24], fan_in=9))
    network.layers[0].synapses.delay.fill_(3)
    memory = footprints(network)["hidden1"]
    assert (memory.num_synapses, memory.fan_in, memory.num_delays, memory.longest_delay) == (24 * 9, 9, 1, 3)
    assert memory.weight_bytes == 24 * 9 * 4 + 24 * 4
    assert memory.delay_bytes == 24 * 9 * 2
    assert memory.ring_bytes == (3 + 1) * 24 * 4
    assert memory.input_slots == 3 * 20
    assert memory.total_bytes == memory.weight_bytes + memory.delay_bytes + memory.ring_bytes


def test_a_network_without_delays_takes_no_memory_for_them():
    linear = nn.Linear(20, 24)
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in linear.parameters())
    memory = footprints(network_of(delays="none"))["hidden1"]
    assert (memory.weight_bytes, memory.delay_bytes, memory.input_slots) == (parameters, 0, 0)


class TwoTaps(Synapses):
    """Every input acts now, and once more at the end of the window: written as a stranger would."""

    def __init__(self, num_inputs, num_outputs, time_step_ms, *, num_lags=4):
        super().__init__(num_inputs, num_outputs, num_lags=num_lags)
        self.weight = nn.Parameter(torch.rand(num_outputs, num_inputs) + 0.1)

    def dense_kernel(self):
        return torch.stack([self.weight, *[0 * self.weight] * (self.num_lags - 2), self.weight])


def test_synapses_from_outside_are_measured_by_what_they_deploy(counts):
    layers = [LayerConfig(synapses=TwoTaps)]
    network = Network(NetworkConfig(num_inputs=20, num_classes=3, hidden_sizes=[5], layers=layers)).eval()
    memory = footprints(network)["hidden1"]
    assert (memory.num_synapses, memory.fan_in, memory.num_delays, memory.longest_delay) == (200, 40, 2, 3)
    assert delay_histogram(network.layers[0].synapses).tolist() == [100, 0, 0, 100]
    assert operations(network, counts)["effective/hidden1"] == int((counts != 0).sum()) * 10 / 4
