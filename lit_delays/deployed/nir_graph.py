r"""A deployed network as a graph in the Neuromorphic Intermediate Representation (NIR), and a way to run it.

NIR has one delay a channel, not one a synapse. So each layer becomes a branch for every distinct delay d,
``Delay(d)`` then ``Linear`` with the weights of the synapses that have it, and all branches end in the same
neurons, where NIR adds them. A delay of 0 needs no node. The bias sits in the first branch, an ``Affine``.

NIR's neuron :math:`\tau \dot v = -v + R I`, with an Euler step of dt, is ours for :math:`\tau = dt / leak`
and :math:`R = 1 / leak`. Times are in seconds. NIR's text says that a neuron spikes *above* its threshold;
ours do at it.

Source:
    Pedersen et al. (2024), https://arxiv.org/abs/2311.14641.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from lit_delays.deployed.connections import require_lif
from lit_delays.deployed.description import constants, describe
from lit_delays.deployed.network import DeployedLayer, DeployedSNN
from lit_delays.deployed.place import new_place
from lit_delays.snn.kernels import deployed_kernel

Array = NDArray[Any]
Nodes = dict[str, nir.NIRNode]


def to_nir(network: DeployedSNN) -> nir.NIRGraph:
    """The graph; its metadata hold ``dt`` in s and, as JSON in ``about``, all that NIR has no place for.

    Raises:
        InputError: If the neurons are not leaky integrate-and-fire, or a synaptic filter lies between them.
    """
    require_lif(network, "nir")
    dt = network.config.time_step_ms / 1000
    nodes: Nodes = {"input": nir.Input(input_type={"input": np.array([network.config.num_inputs])})}
    edges: list[tuple[str, str]] = []
    before = "input"
    for (name, layer), about in zip(network.named_layers().items(), constants(network), strict=True):
        nodes[name] = _neurons(layer, about, dt)
        for branch in _branches(name, layer, dt):
            nodes |= branch
            path = [before, *branch, name]
            edges += pairwise(path)
        before = name
    nodes["output"] = nir.Output(output_type={"output": np.array([network.config.num_classes])})
    edges.append((before, "output"))
    return nir.NIRGraph(nodes, edges, metadata={"dt": dt, "about": json.dumps(describe(network))})


def _neurons(layer: DeployedLayer, about: dict[str, Any], dt: float) -> nir.NIRNode:
    everywhere = np.ones(len(layer.bias))
    membrane = {
        "tau": dt / about["leak"] * everywhere,
        "r": 1 / about["leak"] * everywhere,
        "v_leak": 0 * everywhere,
        "metadata": {"extra_steps": about["extra_steps"]},
    }
    if about["v_threshold"] is None:
        return nir.LI(**membrane)
    return nir.LIF(**membrane, v_threshold=about["v_threshold"] * everywhere, v_reset=0 * everywhere)


def _branches(name: str, layer: DeployedLayer, dt: float) -> list[Nodes]:
    """A branch for every delay that a synapse has; at least one, for the bias."""
    kernel = deployed_kernel(layer.weight, layer.delay, layer.max_delay).cpu().numpy()
    branches: list[Nodes] = []
    for delay in np.flatnonzero(kernel.any(axis=(1, 2))).tolist() or [0]:
        nodes: Nodes = {}
        if delay:
            nodes[f"{name}_delay{delay}"] = nir.Delay(np.full(kernel.shape[2], delay * dt))
        bias = layer.bias.cpu().numpy()
        is_first = not branches
        weights = nir.Affine(kernel[delay], bias) if is_first else nir.Linear(kernel[delay])
        branches.append(nodes | {f"{name}_weight{delay}": weights})
    return branches


def save(network: DeployedSNN, path: Path) -> None:
    """Write the graph as a ``.nir`` file.

    Raises:
        InputError: If the network does not fit, or the file exists or cannot be written.
    """
    graph = to_nir(network)
    with new_place(path) as place:
        nir.write(place, graph)


def run(graph: nir.NIRGraph, counts: Array) -> dict[str, Array]:
    """Run a graph that :func:`to_nir` made, or that was read back: the reference for other interpreters.

    A node sees its inputs of the same time step: only ``Delay`` takes time. A population falls silent
    ``extra_steps`` after the end of the clip, as the layers of the network do.

    Args:
        graph: The graph.
        counts: Input, shape ``(T, I)``.

    Returns:
        Output of every population and of ``output``, each ``(T', N)``, T' being the steps of the readout.
    """
    dt = float(graph.metadata["dt"])
    lasts = {
        name: int(node.metadata["extra_steps"]) for name, node in graph.nodes.items() if _is_neuron(node)
    }
    num_steps = len(counts) + max(lasts.values())
    made: dict[str, Array] = {"input": np.pad(counts, ((0, num_steps - len(counts)), (0, 0)))}
    while len(made) < len(graph.nodes):
        for name, node in graph.nodes.items():
            sources = [before for before, after in graph.edges if after == name]
            if name not in made and all(source in made for source in sources):
                made[name] = _output(node, np.sum([made[source] for source in sources], axis=0), dt)
                if name in lasts:
                    made[name][len(counts) + lasts[name] :] = 0
    return {name: made[name] for name in [*lasts, "output"]}


def _is_neuron(node: nir.NIRNode) -> bool:
    return isinstance(node, nir.LIF | nir.LI)


def _output(node: nir.NIRNode, x: Array, dt: float) -> Array:
    """What a node makes of its input over time, both ``(T, N)``."""
    match node:
        case nir.Output():
            return x
        case nir.Linear():
            return np.asarray(x @ node.weight.T)
        case nir.Affine():
            return np.asarray(x @ node.weight.T + node.bias)
        case nir.Delay():
            return _delayed(x, np.rint(node.delay / dt).astype(int))
        case nir.LIF() | nir.LI():
            return _membrane(node, x, dt)
    raise NotImplementedError(type(node).__name__)


def _delayed(x: Array, steps: Array) -> Array:
    late = np.zeros_like(x)
    for channel, delay in enumerate(steps):
        late[delay:, channel] = x[: len(x) - delay, channel]
    return late


def _membrane(node: nir.LIF | nir.LI, x: Array, dt: float) -> Array:
    v, trace = np.zeros_like(x[0]), np.empty_like(x)
    for t, current in enumerate(x):
        v = v + dt / node.tau * (node.v_leak - v + node.r * current)
        trace[t] = v
        if isinstance(node, nir.LIF):
            trace[t] = v >= node.v_threshold
            v = np.where(trace[t] > 0, node.v_reset, v)
    return trace
