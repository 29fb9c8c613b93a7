r"""A deployed network as a graph in the Neuromorphic Intermediate Representation (NIR), and a way to run it.

NIR has one delay a channel, not one a synapse. So each layer becomes a branch for every distinct delay d,
``Delay(d)`` then ``Linear`` with the weights of the synapses that have it, and all branches end in the same
neurons, where NIR adds them. A delay of 0 needs no node. Recurrent synapses are branches from the neurons
back to them, whose ``Delay`` has the step that recurrence takes. The bias sits in the first branch, an
``Affine``.
Times are in seconds. Which node stands for a population, its neurons say themselves.

Source:
    Pedersen et al. (2024), https://arxiv.org/abs/2311.14641.
"""

import io
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from lit_delays.deploy.deploy import deploy, whole
from lit_delays.deploy.formats.description import Readout, describe, refuse_synaptic_filter
from lit_delays.deploy.output_path import new_output
from lit_delays.deploy.stream import extra_steps
from lit_delays.errors import InputError
from lit_delays.snn.network import RECURRENT, Network
from lit_delays.snn.neurons import LIF, LeakyIntegrator, Neuron
from lit_delays.snn.synapses import WholeDelays

OUT_OF_REACH = 1e9  # the threshold of a readout that stands as a `LIF`

Array = NDArray[Any]
Run = Callable[[Array], Array]
Nodes = dict[str, nir.NIRNode]


def to_nir(network: Network, readout: Readout = "li") -> nir.NIRGraph:
    """The graph; its metadata hold ``dt`` in s and, as JSON in ``about``, all that NIR has no place for.

    Args:
        network: The network; one in training is deployed first.
        readout: What gives the output. ``li``, the node that says the same. ``lif``, for importers that know
            no ``LI``: its threshold is out of reach, its voltage is the answer. ``none``, for those that give
            no voltage: the output is the current of the readout, which is yet to be integrated. A readout
            that fires is a ``LIF`` of its own threshold anyway.

    Raises:
        InputError: If NIR has no node for the neurons, or a synaptic filter lies between the layers.
    """
    refuse_synaptic_filter(network, "nir")
    network = deploy(network).cpu()
    dt = network.config.time_step_ms / 1000
    nodes: Nodes = {"input": nir.Input(input_type={"input": np.array([network.config.num_inputs])})}
    edges: list[tuple[str, str]] = []
    before, lasts, synapses = "input", extra_steps(network), whole(network)
    for name, layer in network.named_layers().items():
        is_missing = readout == "none" and layer is network.readout
        end = "output" if is_missing else name
        if not is_missing:
            nodes[name] = _population(layer.neuron, dt, lasts[name], readout)
        for branch in _branches(name, synapses[name], dt):
            nodes |= branch
            path = [before, *branch, end]
            edges += pairwise(path)
        own = synapses.get(f"{name}{RECURRENT}")
        for branch in [] if own is None else _loops(f"{name}{RECURRENT}", own, dt):
            nodes |= branch
            edges += pairwise([name, *branch, name])
        before = end
    output_type = {"output": np.array([network.config.num_classes])}
    nodes["output"] = nir.Output(output_type, metadata={"extra_steps": lasts["readout"]})
    if before != "output":
        edges.append((before, "output"))
    return nir.NIRGraph(nodes, edges, metadata={"dt": dt, "about": json.dumps(describe(network))})


def _population(neuron: Neuron, dt: float, lasts: int, readout: Readout) -> nir.NIRNode:
    kind, parameters = neuron.nir(dt)
    if kind == "LI" and readout == "lif":
        kind, parameters = "LIF", {**parameters, "v_threshold": OUT_OF_REACH, "v_reset": 0.0}
    ones = np.ones(neuron.num_neurons)
    arrays = {name: ones * np.asarray(value) for name, value in parameters.items()}
    return getattr(nir, kind)(**arrays, metadata={"extra_steps": lasts})


def _branches(name: str, synapses: WholeDelays, dt: float) -> list[Nodes]:
    """A branch for every delay that a synapse has; at least one, for the bias."""
    kernel, bias = synapses.dense_kernel().numpy(), synapses.bias.numpy()
    branches: list[Nodes] = []
    for delay in np.flatnonzero(kernel.any(axis=(1, 2))).tolist() or [0]:
        nodes: Nodes = {}
        if delay:
            nodes[f"{name}_delay{delay}"] = nir.Delay(np.full(synapses.num_inputs, delay * dt))
        is_first = not branches
        weights = nir.Affine(kernel[delay], bias) if is_first else nir.Linear(kernel[delay])
        branches.append(nodes | {f"{name}_weight{delay}": weights})
    return branches


def _loops(name: str, synapses: WholeDelays, dt: float) -> list[Nodes]:
    """A branch for every delay of recurrent synapses, which take a step more than it says."""
    kernel = synapses.dense_kernel().numpy()
    return [
        {
            f"{name}_delay{lag + 1}": nir.Delay(np.full(synapses.num_inputs, (lag + 1) * dt)),
            f"{name}_weight{lag + 1}": nir.Linear(kernel[lag]),
        }
        for lag in np.flatnonzero(kernel.any(axis=(1, 2))).tolist()
    ]


def save(network: Network, path: Path, readout: Readout = "li") -> None:
    """Write the graph as a ``.nir`` file.

    Args:
        network: The network.
        path: A new file.
        readout: As of :func:`to_nir`.

    Raises:
        InputError: If the network does not fit, or the file exists or cannot be written.
    """
    graph, content = to_nir(network, readout), io.BytesIO()
    nir.write(content, graph)  # into memory: on a full disk HDF5 breaks off, and the process with it
    with new_output(path) as temporary:
        temporary.write_bytes(content.getvalue())


def run(graph: nir.NIRGraph, counts: Array) -> dict[str, Array]:
    """Run a graph that :func:`to_nir` made, or that was read back: the reference for other interpreters.

    A node sees its inputs of the same time step: only ``Delay`` takes time. A population falls silent
    ``extra_steps`` after the end of the clip, as the layers of the network do.

    Args:
        graph: The graph.
        counts: Input, shape ``(T, I)``.

    Returns:
        Output of every population and of ``output``, each ``(T', N)``, T' being the steps of the readout;
        of a population whose threshold is out of reach, its voltage.
    """
    dt = float(graph.metadata["dt"])
    lasts = {
        name: int(node.metadata["extra_steps"])
        for name, node in graph.nodes.items()
        if "extra_steps" in node.metadata
    }
    nodes = {name: _runner(node, dt) for name, node in graph.nodes.items()}
    sources = {name: [before for before, after in graph.edges if after == name] for name in nodes}
    order, made = _order(nodes, sources), []
    for t in range(len(counts) + max(lasts.values())):
        now = {"input": counts[t] if t < len(counts) else np.zeros(counts.shape[1])}
        now |= {name: node.due() for name, node in nodes.items() if isinstance(node, _Delayed)}
        for name in order:
            now[name] = nodes[name](np.sum([now[source] for source in sources[name]], axis=0))
            if t >= len(counts) + lasts.get(name, t):
                now[name] = np.zeros_like(now[name])
        for name, node in nodes.items():
            if isinstance(node, _Delayed):
                node(np.sum([now[source] for source in sources[name]], axis=0))
        made.append(now)
    return {name: np.stack([now[name] for now in made]) for name in [*lasts, "output"]}


def _order(nodes: Mapping[str, Run], sources: Mapping[str, list[str]]) -> list[str]:
    """Nodes behind those that they hear in the same time step; what is delayed is there from the start."""
    known = {"input", *(name for name, node in nodes.items() if isinstance(node, _Delayed))}
    order: list[str] = []
    while ready := [it for it in nodes if it not in known and all(one in known for one in sources[it])]:
        known.update(ready)
        order += ready
    if missing := nodes.keys() - known:
        raise InputError(f"the graph has a loop without a `Delay`, at {min(missing)}; give it one.")
    return order


def _runner(node: nir.NIRNode, dt: float) -> Run:
    """One time step of a node, from its input ``(N,)`` to its output."""
    match node:
        case nir.Input() | nir.Output():
            return lambda x: x
        case nir.Linear():
            return lambda x: np.asarray(x @ node.weight.T)
        case nir.Affine():
            return lambda x: np.asarray(x @ node.weight.T + node.bias)
        case nir.Delay():
            return _Delayed(np.rint(node.delay / dt).astype(int))
        case nir.LIF() | nir.LI():
            return _Population(node, dt)
    raise InputError(
        f"the reference knows no node `{type(node).__name__}`; run the graph with a simulator that does."
    )


class _Delayed:
    """Channels that come later, each by one step or more."""

    def __init__(self, steps: Array) -> None:
        if steps.min() < 1:
            raise InputError("a `Delay` must be at least one time step; leave out shorter ones.")
        self.steps, self.ring = steps, np.zeros((steps.max(), len(steps)))

    def due(self) -> Array:
        return np.array(self.ring[0])

    def __call__(self, x: Array) -> Array:
        self.ring = np.roll(self.ring, -1, axis=0)
        self.ring[-1] = 0
        self.ring[self.steps - 1, np.arange(len(x))] = x
        return x


class _Population:
    r"""An Euler step of :math:`\tau \dot v = -v + R I` is ours, for a current of R I dt / tau."""

    def __init__(self, node: nir.LIF | nir.LI, dt: float) -> None:
        self.scale = node.r * dt / node.tau
        constants = np.stack([node.tau, getattr(node, "v_threshold", np.ones_like(node.tau))], axis=1)
        self.groups: list[tuple[Array, Neuron]] = []
        for constant in np.unique(constants, axis=0):
            alike = (constants == constant).all(axis=1)
            self.groups.append((alike, _neuron(node, int(alike.sum()), dt, *constant.tolist())))
        rest = torch.zeros(1, len(self.scale), dtype=torch.float64)
        self.states = [neuron.initial_state(rest[:, alike]) for alike, neuron in self.groups]

    @torch.no_grad()
    def __call__(self, x: Array) -> Array:
        current, output = torch.from_numpy(x * self.scale)[None], np.empty_like(self.scale)
        for index, (alike, neuron) in enumerate(self.groups):
            made, self.states[index] = neuron.step(current[:, alike], self.states[index])
            output[alike] = made[0].numpy()
        return np.asarray(output)


def _neuron(node: nir.NIRNode, num_neurons: int, dt: float, tau: float, v_threshold: float) -> Neuron:
    if isinstance(node, nir.LIF) and v_threshold < OUT_OF_REACH:
        return LIF(num_neurons, 1000 * dt, tau_mem_ms=1000 * tau, v_threshold=v_threshold)
    return LeakyIntegrator(num_neurons, 1000 * dt, tau_mem_ms=1000 * tau)
