"""A network that trained for a moment, and samples that it did not see."""

from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch

from lit_delays.data.events import Binning, EventBatches
from lit_delays.data.patterns import NUM_CHANNELS, NUM_CLASSES, make_patterns
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.training.classifier import DelayClassifier

SIZES = {"num_inputs": NUM_CHANNELS, "num_classes": NUM_CLASSES, "hidden_size": 24, "max_delay_ms": 110.0}
KINDS = {
    "paper": {},
    "no delays": {"delays": "none"},
    "same length": {"keep_length": True},
    "learned leak": {"neuron": "plif", "tau_mem_ms": 30.0},
    "two synapses, few of them, three layers": {"num_synapses": 2, "fan_in": 9, "num_hidden_layers": 3},
    "spike count": {"decision": "spike_count"},
    "maximum": {"decision": "max"},
    "mean": {"decision": "mean"},
}
OTHER_NEURONS = {
    "heaviside": {"neuron": "heaviside"},
    "relu": {"neuron": "relu"},
    "synaptic filter": {"synapse_tau_ms": 20.0},
}


def train_a_little(**changes) -> DelaySNN:
    """A network of one's own; only the first of a kind takes training."""
    return deepcopy(_train(**changes))


@cache
def _train(**changes) -> DelaySNN:
    torch.manual_seed(0)
    model = DelayClassifier(NetworkConfig(**SIZES | changes))
    optimizer = model.configure_optimizers()
    model.network.set_sigma(2.0)
    for block in model.network.hidden:
        block.norm.momentum = 0.7  # so that the running statistics are those of the little data
        block.norm.bias.data.fill_(0.3)  # and all layers fire
    for batch in patterns(seed=0, num_batches=4, size=16):
        loss = torch.nn.functional.cross_entropy(model(batch.counts()), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.network.constrain()
    return model.network.eval().requires_grad_(False)


def patterns(seed: int, num_batches: int, size: int = 32):
    arrays = make_patterns(num_batches * size, seed=seed)
    indices = np.random.default_rng(seed).permutation(len(arrays))
    batches = EventBatches(arrays, indices, Binning("uniform", 10.0, NUM_CHANNELS))
    return [batches[list(range(first, first + size))] for first in range(0, len(arrays), size)]


@pytest.fixture(scope="session", params=KINDS)
def trained(request) -> DelaySNN:
    """Networks of leaky integrate-and-fire neurons, in double precision."""
    return train_a_little(**KINDS[request.param]).double()


@pytest.fixture(scope="session", params=OTHER_NEURONS)
def other(request) -> DelaySNN:
    """Networks of other neurons, in double precision."""
    return train_a_little(**OTHER_NEURONS[request.param]).double()


@pytest.fixture(scope="session")
def counts() -> torch.Tensor:
    """Samples of patterns with some channels that spike twice, in double precision, (T, B, I)."""
    (batch,) = patterns(seed=1, num_batches=1, size=3)
    counts = batch.counts(torch.float64)
    return counts + (counts > 0) * (torch.arange(NUM_CHANNELS) % 3 == 0)


def signals(network, counts):
    """Hidden spikes and readout of a batch, as arrays by layer, each (T', B, N)."""
    seen = []
    readout = network(counts, watch=lambda _, spikes: seen.append(spikes.numpy()))
    names = [f"hidden{index + 1}" for index in range(len(seen))]
    return dict(zip(names, seen, strict=True)) | {"readout": readout.numpy()}
