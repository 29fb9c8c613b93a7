"""The network of the paper: layers of synapses, norm, neurons and dropout, then a readout.

Shape letters: T input steps, T' output steps, B samples, N neurons, I inputs, C classes.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import Neuron, State, SynapticFilter
from lit_delays.snn.neurons.readouts import readout_of
from lit_delays.snn.operation import Operation
from lit_delays.snn.readout import class_scores
from lit_delays.snn.recurrence import Recurrence
from lit_delays.snn.synapses import Synapses

RECURRENT = "_recurrent"  # after the name of a layer: its synapses to itself


class LayerState(NamedTuple):
    """What a layer remembers between two steps.

    Attributes:
        ring: Currents that are still to come, shape ``(B, K, N)``.
        neuron: State of the neurons.
        synaptic_filter: State of the synaptic filter; empty where there is none.
        recurrent: State of the recurrent synapses; empty where there are none.
    """

    ring: Tensor
    neuron: State
    synaptic_filter: State
    recurrent: State


class Layer(nn.Module):
    """Synapses, norm, neurons, dropout, and possibly recurrent synapses and a synaptic filter.

    Args:
        synapses: Into the layer.
        norm: Of the currents, over time and batch; the identity for none.
        neuron: The neurons.
        dropout: Probability that a neuron is silenced for a whole sample.
        synaptic_filter: What spikes linger in on their way out; None for none.
        recurrent: Synapses from the neurons to themselves; None for none.

    Shape:
        Input ``(T, B, I)``, output ``(T', B, N)``.
    """

    def __init__(
        self,
        synapses: Synapses,
        norm: nn.Module,
        neuron: Neuron,
        dropout: float = 0.0,
        synaptic_filter: SynapticFilter | None = None,
        recurrent: Recurrence | None = None,
    ) -> None:
        super().__init__()
        self.synapses, self.norm, self.neuron = synapses, norm, neuron
        self.dropout, self.synaptic_filter, self.recurrent = dropout, synaptic_filter, recurrent

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The input of the next layer.

        Args:
            x: Input.
            lengths: Real steps of every sample in the output, shape ``(B,)``: later ones are silent, and no
                part of the norm's statistics. None where all are real.
        """
        current = self.synapses(x)
        mask = F.dropout(torch.ones_like(current[:1]), self.dropout, self.training)  # one for all time steps
        output = layer_output(self, current, mask, lengths)
        return output if self.synaptic_filter is None else silenced(self.synaptic_filter(output), lengths)

    def normed(self, current: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normed currents of one or of all time steps; flat for the norm, so that SyncBatchNorm fits.

        In training, steps behind the lengths ``(B,)`` get no current and have no part in the statistics.
        """
        if isinstance(self.norm, nn.Identity):  # torch.export cannot flatten any batch
            return current
        flat = current.flatten(0, -2)
        if lengths is None or not self.training:
            return self.norm(flat).view_as(current)  # type: ignore[no-any-return]
        real = real_rows(lengths, len(current))
        normed = self.norm(flat.index_select(0, real))
        return torch.zeros_like(flat, dtype=normed.dtype).index_copy(0, real, normed).view_as(current)

    def initial_state(self, x: Tensor) -> LayerState:
        """At rest, for inputs ``(B, I)``."""
        ring = self.synapses.initial_ring(x)
        neuron, lingering, recurrent = (
            {} if part is None else part.initial_state(ring[:, 0])
            for part in (self.neuron, self.synaptic_filter, self.recurrent)
        )
        return LayerState(ring, neuron, lingering, recurrent)

    def step(self, x: Tensor, state: LayerState) -> tuple[Tensor, Tensor, LayerState]:
        """One step in evaluation: output of the neurons, input of the next layer, and the new state."""
        current, ring = self.synapses.step(x, state.ring)
        current, recurrent = self.normed(current), state.recurrent
        if self.recurrent is not None:
            due, later = self.recurrent.step(recurrent)
            current = current + due
        output, neuron = self.neuron.step(current, state.neuron)
        if self.recurrent is not None:
            recurrent = {"output": output, "ring": later}
        passed_on, lingering = output, state.synaptic_filter
        if self.synaptic_filter is not None:
            passed_on, lingering = self.synaptic_filter.step(output, state.synaptic_filter)
        return output, passed_on, LayerState(ring, neuron, lingering, recurrent)


def real_steps(lengths: Tensor, num_steps: int) -> Tensor:
    """True in the steps of every sample that are real, shape ``(T, B)``.

    Example:
        >>> real_steps(torch.tensor([1, 3]), 3).int()
        tensor([[1, 1],
                [0, 1],
                [0, 1]], dtype=torch.int32)
    """
    return torch.arange(num_steps, device=lengths.device).unsqueeze(-1) < lengths


def real_rows(lengths: Tensor, num_steps: int) -> Tensor:
    """Places of real steps among the T B of all."""
    return real_steps(lengths, num_steps).flatten().nonzero().squeeze(-1)


def silenced(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Nothing in the steps of ``(T, B, N)`` behind the lengths ``(B,)``; as it is where all are real."""
    return x if lengths is None else x * real_steps(lengths, len(x)).unsqueeze(-1)


def _layer_output(layer: Layer, current: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Spikes of real steps that the dropout mask ``(1, B, N)`` lets through, shape ``(T', B, N)``."""
    current = layer.normed(current, lengths)
    recurrent = layer.recurrent
    output: Tensor = layer.neuron(current) if recurrent is None else recurrent(layer.neuron, current)
    return silenced(output * mask if layer.training else output, lengths)


layer_output = Operation(_layer_output, name="layer")


class Network(nn.Module):
    """Spiking network with a delay on every synapse.

    Args:
        config: Its sizes and parts.
        interface: What its inputs and answers mean, where that is known.
        layers: Its layers, the readout last, where they are made already.

    Attributes:
        layers: The hidden layers.
        readout: The last layer, whose neurons tell the classes apart.

    Raises:
        InputError: If the interface names another number of classes.

    Shape:
        Input counts ``(T, B, I)``, output readout ``(T', B, C)``. ``T' = T`` plus half a delay window per
        layer, unless its synapses keep the length.

    Source:
        Hammouamri et al. (2023), Sec. 3.

    Example:
        >>> network = Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8, 8]))
        >>> network(torch.zeros(10, 3, 4)).shape
        torch.Size([46, 3, 2])
    """

    def __init__(
        self,
        config: NetworkConfig,
        interface: Interface | None = None,
        layers: Iterable[Layer] | None = None,
    ) -> None:
        super().__init__()
        if interface is not None and len(interface.class_names) != config.num_classes:
            raise InputError(
                f"`class_names` must name {config.num_classes} classes, got {len(interface.class_names)}."
            )
        self.config, self.interface = config, interface
        *hidden, readout = make_layers(config) if layers is None else layers
        self.layers = nn.ModuleList(hidden)  # the readout behind it, in the order in which they act
        self.readout = readout

    def forward(self, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Readout over time, from rest.

        Args:
            counts: Input.
            lengths: Real steps of every sample, shape ``(B,)``; None where all are.
        """
        lengths = self._used(counts, lengths)
        x = silenced(counts.to(self.dtype), lengths)
        for layer in [*self.layers, self.readout]:
            assert isinstance(layer, Layer)
            lengths = None if lengths is None else lengths + layer.synapses.extra_steps
            x = layer(x, lengths)
        return x

    def _used(self, counts: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Lengths, where they make a difference; a GPU would have to wait for the answer."""
        if lengths is None or self.config.padding == "paper":
            return None
        all_real = lengths.device.type == "cpu" and bool((lengths >= len(counts)).all())
        return None if all_real else lengths

    def valid_steps(self, readout: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Which steps of the readout count, shape ``(T', B)``: the real ones, and those that delays add."""
        if lengths is None or self.config.padding == "paper":
            return None
        extra = sum(layer.synapses.extra_steps for layer in self.named_layers().values())
        return real_steps(lengths + extra, len(readout))

    def scores(self, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score of every class, shape ``(B, C)``; the largest is the answer. Arguments as of ``forward``."""
        readout = self(counts, lengths)
        return class_scores(readout, self.config.decision, self.valid_steps(readout, lengths))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes by label; numbers where nobody named them."""
        if self.interface is not None:
            return self.interface.class_names
        return tuple(map(str, range(self.config.num_classes)))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of its numbers."""
        numbers = (tensor for part in (self.parameters(), self.buffers()) for tensor in part)
        return next(tensor.dtype for tensor in numbers if tensor.is_floating_point())

    def named_layers(self) -> dict[str, Layer]:
        """Layers by name, from the input on: ``hidden1``, ``hidden2``, ..., ``readout``."""
        hidden = [layer for layer in self.layers if isinstance(layer, Layer)]
        return {f"hidden{index + 1}": layer for index, layer in enumerate(hidden)} | {"readout": self.readout}

    def named_synapses(self) -> dict[str, Synapses]:
        """Synapses by the name of the layer that they lead into; ``hidden1_recurrent`` for recurrent ones."""
        found: dict[str, Synapses] = {}
        for name, layer in self.named_layers().items():
            found[name] = layer.synapses
            if layer.recurrent is not None:
                found[f"{name}{RECURRENT}"] = layer.recurrent.synapses
        return found

    @property
    def learns_delays(self) -> bool:
        """Whether any layer has delays to learn, so that ``sigma`` has a meaning."""
        return any(synapses.learns_delays for synapses in self.named_synapses().values())

    @property
    def num_lags(self) -> int:
        """Lags of the longest delay window between layers."""
        return max(layer.synapses.num_lags for layer in self.named_layers().values())

    def constrain(self) -> None:
        """Bring what is learned back into its range; call it after each optimiser step."""
        for layer in self.named_layers().values():
            layer.neuron.constrain()
        for synapses in self.named_synapses().values():
            synapses.constrain()

    def snap(self) -> None:
        """Make learned delays whole where they are to be so at the start of an epoch."""
        for synapses in self.named_synapses().values():
            synapses.snap()

    def set_sigma(self, sigma: float) -> None:
        """Set the width of every soft delay, in time steps."""
        for synapses in self.named_synapses().values():
            if synapses.learns_delays:
                synapses.sigma.fill_(sigma)


def make_layers(config: NetworkConfig) -> list[Layer]:
    """The layers that the configuration wants, the readout last."""
    sizes, step_ms = [config.num_inputs, *config.hidden_sizes], config.time_step_ms
    hidden = [make_layer(config, index, *pair) for index, pair in enumerate(pairwise(sizes))]
    synapses = config.synapses(sizes[-1], config.num_classes, step_ms)
    return [*hidden, Layer(synapses, nn.Identity(), readout_neuron(config, hidden[-1].neuron))]


def readout_neuron(config: NetworkConfig, last: Neuron) -> Neuron:
    """The neurons of the readout: the configuration's, or those that belong to the last hidden layer's."""
    if config.readout is not None:
        return config.readout(config.num_classes, config.time_step_ms)
    return readout_of(last, config.num_classes, config.decision == "spike_count")


def make_layer(config: NetworkConfig, index: int, num_inputs: int, num_neurons: int) -> Layer:
    """A hidden layer, as the configuration wants it."""
    step_ms, tau_ms = config.time_step_ms, config.synapse_tau_ms
    synapses = config.of_layer(index, "synapses")(num_inputs, num_neurons, step_ms)
    neuron = config.of_layer(index, "neuron")(num_neurons, step_ms)
    lingering = None if tau_ms is None else SynapticFilter(num_neurons, step_ms, tau_ms=tau_ms)
    norm = nn.BatchNorm1d(num_neurons) if config.norm == "batch" else nn.Identity()
    if config.norm == "none" and getattr(synapses, "bias", None) is None:
        synapses.bias = nn.Parameter(torch.empty(num_neurons).uniform_(-1, 1) * num_inputs**-0.5)
    return Layer(synapses, norm, neuron, config.dropout, lingering, _recurrence(config, index))


def _recurrence(config: NetworkConfig, index: int) -> Recurrence | None:
    make, size = config.of_layer(index, "recurrent"), config.hidden_sizes[index]
    if make is None:
        return None
    return Recurrence(make(size, size, config.time_step_ms), config.recurrent_dropout)
