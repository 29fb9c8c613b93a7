from functools import partial

import pytest
import torch

from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.training.callbacks.finite_numbers import first_not_finite, gradient_size


@pytest.fixture
def network():
    short = partial(SynapticDelays, max_delay_ms=50.0)
    network = Network(NetworkConfig(num_inputs=5, num_classes=3, hidden_sizes=[4, 4], synapses=short))
    network(torch.ones(6, 2, 5)).sum().backward()
    return network


def test_finite_numbers_have_a_size_and_no_culprit(network):
    assert gradient_size(network) > 0
    assert first_not_finite(network, torch.ones(6, 2, 5)) is None


def test_a_broken_parameter_is_named_even_where_spikes_hide_it(network):
    network.layers[1].synapses.weight.data[0, 0] = torch.nan
    assert first_not_finite(network, torch.ones(6, 2, 5)) == "the parameter `hidden2.synapses.weight`"


def test_the_first_layer_whose_output_is_not_finite_is_named(network):
    network.layers[0].synapses.weight.data.fill_(3e38)  # finite, but not their sums
    assert first_not_finite(network, torch.ones(6, 2, 5)) == "the output of `hidden1.synapses`"


def test_a_gradient_is_named_by_the_layer_nearest_to_the_loss(network):
    for layer in (network.layers[0].norm, network.layers[1].norm):
        layer.weight.grad[0] = torch.inf
    assert not gradient_size(network).isfinite()
    assert first_not_finite(network, torch.ones(6, 2, 5)) == "the gradient of `hidden2.norm.weight`"
