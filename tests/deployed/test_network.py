import re

import numpy as np
import pytest
import torch

from lit_delays.deployed.network import deploy
from lit_delays.errors import InputError

from .conftest import signals, train_a_little


def assert_same(left, right, tolerance=1e-12):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_allclose(left[name], right[name], rtol=0, atol=tolerance, err_msg=name)


def test_the_deployed_network_is_the_evaluated_one(trained, counts):
    assert_same(signals(deploy(trained), counts), signals(trained, counts))


def test_other_neurons_deploy_too(other, counts):
    assert_same(signals(deploy(other), counts), signals(other, counts))


def test_something_fires(trained, counts):
    *hidden, readout = signals(trained, counts).values()
    assert all(0.01 < spikes.mean() < 0.6 for spikes in hidden)
    assert readout.std() > 0


def test_deploying_changes_nothing_of_the_network(trained):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    deploy(trained)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_delays_are_whole_steps_and_the_norm_is_gone(trained):
    deployed = deploy(trained)
    assert not any("norm" in name for name in deployed.state_dict())
    for layer, source in zip(deployed.layers, trained.delay_layers(), strict=True):
        assert layer.delay.dtype == torch.int16
        if source.delay is not None:
            assert torch.equal(layer.delay, source.delay.round().short())


def test_single_precision_differs_in_one_spike_of_ten_thousand_at_most(counts):
    network = train_a_little()
    single, double = signals(deploy(network), counts.float()), signals(deploy(network).double(), counts)
    for name in ("hidden1", "hidden2"):
        assert (single[name] != double[name]).mean() <= 1e-4


def test_a_diverged_network_is_refused():
    network = train_a_little()
    network.blocks[1].delays.weight[3, 2] = float("nan")
    sentence = "the weights of hidden2 are not all numbers; take the checkpoint of an earlier epoch."
    with pytest.raises(InputError, match=re.escape(sentence)):
        deploy(network)


def test_names_must_fit_the_classes():
    with pytest.raises(InputError, match=re.escape("`class_names` must name 10 classes, got 1.")):
        deploy(train_a_little(), class_names=("one",))
