import pytest
import torch
from torch import nn

from lit_delays.deployed.costs import Activity, SynapticOperations, footprints
from lit_delays.deployed.network import deploy

from .conftest import train_a_little


def operations(network, *batches):
    metric = SynapticOperations(network)
    for counts in batches:
        metric.update(network.heard(counts))
    return {name: float(value) for name, value in metric.compute().items()}


def test_operations_are_those_that_neurobench_counts(counts):
    layers = pytest.importorskip("neurobench.metrics.utils.layers")
    network = deploy(train_a_little(delays="none", fan_in=9))
    macs = acs = dense = 0.0
    for x, layer in zip(network.heard(counts.float()), network.layers, strict=True):
        linear = nn.Linear(*reversed(layer.weight.shape[:2]))
        linear.weight.data, linear.bias.data = layer.weight[:, :, 0].clone(), layer.bias.clone()
        operations_, spiking = layers.single_layer_MACs(x, linear)
        acs, macs = (acs + operations_, macs) if spiking else (acs, macs + operations_)
        dense += layers.single_layer_MACs(x, linear, total=True)[0]
    expected = {"effective_macs": macs, "effective_acs": acs, "dense": dense}
    assert macs > 0
    assert acs > 0
    assert operations(network, counts.float()) == pytest.approx(
        {name: float(value) / counts.shape[1] for name, value in expected.items()}, rel=1e-6
    )


def test_a_spike_costs_its_synapses_and_no_spike_none():
    network = deploy(train_a_little(num_hidden_layers=1, fan_in=9))
    for layer in network.layers:
        layer.weight.fill_(0)
        layer.bias.fill_(0)
    network.layers[0].weight[:5, 2] = 0.01  # input 2 has 5 synapses, the others none
    counts = torch.zeros(7, 4, 20)
    counts[3, 0, 2] = counts[4, 1, 2] = counts[4, 1, 3] = 1
    cost = operations(network, counts)
    assert cost["effective_acs"] == 2 * 5 / 4
    assert cost["effective_macs"] == 0
    assert cost["dense"] == 7 * 20 * 24 + (7 + 5) * 24 * 10
    counts[3, 0, 2] = 2  # not a spike: the weight must be multiplied
    assert operations(network, counts)["effective_macs"] == 2 * 5 / 4


def test_the_average_does_not_depend_on_the_batches(counts):
    network = deploy(train_a_little()).double()
    whole = operations(network, counts)
    assert operations(network, counts[:, :1], counts[:, 1:]) == pytest.approx(whole)


def test_activity_is_spikes_per_second_and_neuron(counts):
    network = deploy(train_a_little()).double()
    activity, seen = Activity(network), []
    network(counts, watch=activity.update)
    network(counts, watch=lambda _, spikes: seen.append(spikes))
    measured = activity.compute()
    for index, spikes in enumerate(seen):
        assert float(measured[f"firing_rate/hidden{index + 1}"]) == pytest.approx(100 * float(spikes.mean()))
    silent = sum(int((spikes == 0).sum()) for spikes in seen) / sum(spikes.numel() for spikes in seen)
    assert float(measured["activation_sparsity"]) == pytest.approx(silent)


def test_a_footprint_in_closed_form():
    network = deploy(train_a_little(num_hidden_layers=1, fan_in=9))
    layer = network.layers[0]
    layer.delay.fill_(3)
    memory = footprints(network)["hidden1"]
    assert (memory.num_synapses, memory.fan_in, memory.num_delays, memory.longest_delay) == (24 * 9, 9, 1, 3)
    assert memory.weight_bytes == 24 * 9 * 4 + 24 * 4
    assert memory.delay_bytes == 24 * 9 * 2
    assert memory.ring_bytes == (3 + 1) * 24 * 4
    assert memory.total_bytes == memory.weight_bytes + memory.delay_bytes + memory.ring_bytes


def test_a_network_without_delays_takes_no_memory_for_them():
    network = deploy(train_a_little(delays="none"))
    linear = nn.Linear(20, 24)
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in linear.parameters())
    memory = footprints(network)["hidden1"]
    assert (memory.weight_bytes, memory.delay_bytes) == (parameters, 0)
