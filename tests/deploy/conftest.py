"""A network that trained for a moment, and samples that it did not see."""

from copy import deepcopy
from functools import cache, partial

import numpy as np
import pytest
import torch

from lit_delays.data.binning import Binning
from lit_delays.data.datasets.patterns import NUM_CHANNELS, NUM_CLASSES, make_patterns
from lit_delays.snn.delays import DistanceDelays, SummedDelays, Uniform
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.neurons import PLIF, Heaviside, ReLU, SoftResetLIF
from lit_delays.snn.recorder import Recorder
from lit_delays.snn.synapses import RecurrentDelays, StructuredDelays, SynapticDelays
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer

from .foreign import GroupedDelays, Tired


def delays(**options):
    return {"synapses": partial(SynapticDelays, **{"max_delay_ms": 110.0} | options)}


SIZES = {"num_inputs": NUM_CHANNELS, "num_classes": NUM_CLASSES, "hidden_sizes": (24, 24), **delays()}
SHORT = partial(Uniform, high_ms=80.0)
NEAR = partial(DistanceDelays, start=SHORT)


def recurrent(**options):
    rule = partial(SummedDelays, start=SHORT, **options)
    return {"recurrent": partial(RecurrentDelays, delays=rule)}


def structured(max_delay_ms=110.0, **options):
    rule = partial(SummedDelays, start=SHORT, **options)
    return {"synapses": partial(StructuredDelays, delays=rule, max_delay_ms=max_delay_ms)}


FOREIGN_SYNAPSES = partial(GroupedDelays, max_delay_ms=110.0, num_groups=4)
LEARNED_LEAK = partial(PLIF, tau_mem_ms=30.0)

KINDS = {
    "paper": {},
    "no delays": delays(delays="none"),
    "same length": delays(keep_length=True),
    "learned leak": {"neuron": LEARNED_LEAK},
    "two synapses, few of them, three layers": {
        "hidden_sizes": (24, 24, 24),
        **delays(num_synapses=2, fan_in=9),
    },
    "same length, two synapses, few of them": delays(keep_length=True, num_synapses=2, fan_in=9),
    "spike count": {"decision": "spike_count"},
    "maximum": {"decision": "max"},
    "mean": {"decision": "mean"},
    "layers that differ": {
        "hidden_sizes": (24, 16),
        "layers": [None, LayerConfig(neuron=LEARNED_LEAK, **delays(max_delay_ms=70.0, num_synapses=2))],
    },
    "synapses from outside": {"synapses": FOREIGN_SYNAPSES},
    "recurrent, axonal delays": recurrent(),
    "recurrent, synaptic delays": recurrent(learned=("synaptic",)),
    "recurrent, hybrid delays, in one layer": {
        "layers": [None, LayerConfig(**recurrent(offset_ms=40.0))],
    },
    "recurrent without delays": recurrent(learned=()),
    "axonal delays": structured(),
    "dendritic delays": structured(learned=("dendritic",)),
    "axonal and dendritic delays": structured(learned=("axonal", "dendritic")),
    "hybrid delays, free window": structured(max_delay_ms=None, offset_ms=40.0),
    "distances": {"synapses": partial(StructuredDelays, delays=NEAR, max_delay_ms=110.0)},
}
OTHER_NEURONS = {
    "heaviside": {"neuron": Heaviside},
    "relu": {"neuron": ReLU},
    "synaptic filter": {"synapse_tau_ms": 20.0},
    "heaviside, synaptic filter": {"neuron": Heaviside, "synapse_tau_ms": 20.0},
    "soft reset, recurrent": {"neuron": SoftResetLIF, **recurrent()},
    "neurons from outside": {"neuron": Tired},
    "neurons and synapses from outside": {"neuron": Tired, "synapses": FOREIGN_SYNAPSES},
}


def train_a_little(kind="paper") -> Network:
    """A network of one's own; only the first of a kind takes training."""
    return deepcopy(_train(kind))


@cache
def _train(kind) -> Network:
    torch.manual_seed(0)
    network = Network(NetworkConfig(**SIZES | (KINDS | OTHER_NEURONS)[kind])).train()
    optimizer = make_optimizer(network, OptimizerConfig())
    network.set_sigma(2.0)
    for layer in network.layers:
        layer.norm.momentum = 0.7  # so that the running statistics are those of the little data
        layer.norm.bias.data.fill_(0.3)  # and all layers fire
    for batch in patterns(seed=0, num_batches=4, size=16):
        loss = torch.nn.functional.cross_entropy(network.scores(batch.counts()), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.constrain()
    return network.eval().requires_grad_(False)


def patterns(seed: int, num_batches: int, size: int = 32):
    samples = make_patterns(num_batches * size, seed=seed)
    indices = np.random.default_rng(seed).permutation(len(samples)).reshape(num_batches, size)
    return [samples.batch(chosen, Binning("uniform", 10.0, NUM_CHANNELS)) for chosen in indices]


@pytest.fixture(scope="session", params=KINDS)
def trained(request) -> Network:
    """Networks of leaky integrate-and-fire neurons, in double precision."""
    return train_a_little(request.param).double()


@pytest.fixture(scope="session", params=OTHER_NEURONS)
def other(request) -> Network:
    """Networks of other neurons, in double precision."""
    return train_a_little(request.param).double()


@pytest.fixture(scope="session", params=KINDS | OTHER_NEURONS)
def every_kind(request) -> Network:
    """All of them."""
    return train_a_little(request.param).double()


@pytest.fixture(scope="session")
def counts() -> torch.Tensor:
    """Samples of patterns with some channels that spike twice, in double precision, (T, B, I)."""
    (batch,) = patterns(seed=1, num_batches=1, size=3)
    counts = batch.counts(torch.float64)
    return counts + (counts > 0) * (torch.arange(NUM_CHANNELS) % 3 == 0)


def signals(network, counts):
    """Hidden outputs and readout of a batch, as arrays by layer, each (T', B, N)."""
    with Recorder(network) as recorder:
        network(counts)
    return {name: layer.output.numpy() for name, layer in recorder.record.items()}
