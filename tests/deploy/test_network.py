import re

import numpy as np
import pytest
import torch

from lit_delays.deploy.deploy import deploy, whole
from lit_delays.errors import InputError

from .conftest import signals, train_a_little


def assert_same(left, right, tolerance=1e-12):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=0, atol=tolerance, err_msg=name)


def test_the_deployed_network_is_the_evaluated_one(every_kind, counts):
    assert_same(signals(deploy(every_kind), counts), signals(every_kind, counts))


def test_deploying_twice_changes_nothing(every_kind, counts):
    once = deploy(every_kind)
    assert_same(signals(deploy(once), counts), signals(once, counts), tolerance=0)


def test_something_fires(trained, counts):
    *hidden, readout = signals(trained, counts).values()
    assert all(0.01 < spikes.mean() < 0.6 for spikes in hidden)
    assert readout.std() > 0


def test_other_neurons_do_something_too(other, counts):
    assert all((output != 0).mean() > 0.01 for output in signals(other, counts).values())


def test_deploying_changes_nothing_of_the_network(trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    deploy(trained)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_delays_are_whole_steps_and_the_norm_is_gone(trained):
    deployed = deploy(trained)
    assert not any("norm" in name for name in deployed.state_dict())
    for name, synapses in whole(deployed).items():
        source = trained.named_synapses()[name]
        assert synapses.delay.dtype == torch.int16
        learned = source.learned_delay
        if learned is not None and learned.shape == synapses.delay.shape:
            assert torch.equal(synapses.delay, learned.round().short())


def test_single_precision_differs_in_one_spike_of_ten_thousand_at_most(counts):
    network = train_a_little()
    single, double = signals(deploy(network), counts.float()), signals(deploy(network).double(), counts)
    for name in ("hidden1", "hidden2"):
        assert (single[name] != double[name]).mean() <= 1e-4


def test_a_diverged_network_is_refused():
    network = train_a_little()
    network.layers[1].synapses.weight[3, 2] = float("nan")
    sentence = "the weights of hidden2 are not all numbers; take the checkpoint of an earlier epoch."
    with pytest.raises(InputError, match=re.escape(sentence)):
        deploy(network)


@pytest.mark.parametrize(
    "norm", [torch.nn.LayerNorm(12), torch.nn.BatchNorm1d(12, track_running_stats=False)]
)
def test_a_norm_that_is_no_map_of_single_neurons_is_refused(norm):
    network = train_a_little()
    network.layers[0].norm = norm
    sentence = f"only batch norms can be folded into synapses, got {type(norm).__name__}."
    with pytest.raises(InputError, match=re.escape(sentence)):
        deploy(network)


def test_a_deployed_network_shares_nothing_with_the_trained_one_and_learns_nothing(trained):
    deployed = deploy(trained)
    mine, theirs = (set(map(id, network.modules())) for network in (deployed, trained))
    assert not mine & theirs
    assert not any(module.training for module in deployed.modules())
    assert not any(parameter.requires_grad for parameter in deployed.parameters())
