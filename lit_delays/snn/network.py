"""The network of the paper: layers of synapses, norm, neurons and dropout, then a readout.

Shape letters: T input steps, T' output steps, B samples, N neurons, I inputs, C classes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_delays.components import Factory, plain, rebuild
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.neurons import LIF, Neuron, State, SynapticFilter
from lit_delays.snn.neurons.readouts import readout_of
from lit_delays.snn.operation import Operation
from lit_delays.snn.readout import Decision, class_scores
from lit_delays.snn.recurrence import Recurrence
from lit_delays.snn.synapses import Synapses, SynapticDelays
from lit_delays.time_grid import TimeGrid

MOST_LAYERS, MOST_NEURONS = 1000, 2**31  # hidden ones; of a layer, and channels of an input

PARTS = ("neuron", "synapses", "recurrent")  # of a layer, that are chosen by class
Padding = Literal["ignored", "paper"]
Norm = Literal["batch", "none"]

RECURRENT = "_recurrent"  # after the name of a layer: its synapses to itself

MakeSynapses = Callable[[int, int, float], Synapses]  # inputs, neurons, time step in ms
MakeNeuron = Callable[[int, float], Neuron]  # neurons, time step in ms


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """What is different in one hidden layer; null for what is not.

    Args:
        neuron: Its neurons.
        synapses: The synapses into it.
        recurrent: The synapses from its neurons to themselves.
    """

    neuron: MakeNeuron | None = None
    synapses: MakeSynapses | None = None
    recurrent: MakeSynapses | None = None

    def __post_init__(self) -> None:
        for name in PARTS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Factory.of(getattr(self, name)))


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything that makes a network; the defaults are the paper's for SHD.

    Args:
        num_inputs: Input channels, ``I``; from the data on the command line.
        num_classes: Classes, ``C``; from the data on the command line.
        time_step_ms: Duration of a time step, in ms; from the data on the command line.
        hidden_sizes: Neurons of every hidden layer, one number a layer.
        synapses: The synapses into every layer: a class, and its options.
        neuron: The neurons of every hidden layer: a class, and its options. The readout's belong to those of
            the last one: the same membrane, which never fires.
        recurrent: Synapses from the neurons of every hidden layer to themselves, where what they put out
            arrives a time step later, or more: a class, and its options; null for none (the paper).
        readout: The neurons of the readout: a class, and its options; null for those that belong to the last
            hidden layer's (the paper).
        layers: For each hidden layer in turn, what is different there; null where nothing is.
        synapse_tau_ms: Time constant of a synaptic filter after each hidden layer, in ms, at least one time
            step; null for none (the paper). The reference uses two time steps.
        dropout: Probability that a neuron is silenced for a whole sample, in [0, 1).
        recurrent_dropout: Probability that the recurrent current of a neuron is silenced for a whole sample,
            in [0, 1).
        norm: What the currents of a hidden layer pass: a ``batch`` norm over time and batch (the paper), or
            ``none``, and synapses without a bias get one, which starts within 1 / sqrt(I) as that of a linear
            layer of torch.
        decision: How the readout over time becomes a score per class: sum of the softmax of every step (the
            paper), mean, max, or spike_count, for which the readout fires (at a voltage of 2).
        padding: Whether steps behind the end of a sample, up to the longest of its batch, are ``ignored`` by
            norms, loss and decision, so that a sample has one answer in any batch; or data, as in the
            ``paper``.

    Raises:
        InputError: If a value is out of its range.

    Example:
        >>> config = NetworkConfig(hidden_sizes=[64], neuron=Factory.of(LIF))
        >>> NetworkConfig.of(config.plain) == config
        True
    """

    num_inputs: int = 140
    num_classes: int = 20
    time_step_ms: float = 10.0
    hidden_sizes: list[int] | tuple[int, ...] = (256, 256)
    synapses: MakeSynapses = SynapticDelays
    neuron: MakeNeuron = LIF
    recurrent: MakeSynapses | None = None
    readout: MakeNeuron | None = None
    layers: list[LayerConfig | None] | tuple[LayerConfig | None, ...] = ()
    synapse_tau_ms: float | None = None
    dropout: float = 0.4
    recurrent_dropout: float = 0.0
    norm: Norm = "batch"
    decision: Decision = "sum"
    padding: Padding = "ignored"

    def __post_init__(self) -> None:
        for name in ("hidden_sizes", "layers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in (*PARTS, "readout"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Factory.of(getattr(self, name)))
        grid, sizes = TimeGrid(self.time_step_ms), self.hidden_sizes
        for name in ("num_inputs", "num_classes"):
            self._require(name, _are_sizes([getattr(self, name)]), f"a whole number in [1, {MOST_NEURONS}]")
        self._require("hidden_sizes", min(sizes, default=0) >= 1, "one or more numbers of at least 1")
        self._require("hidden_sizes", _are_sizes(sizes), f"whole numbers of at most {MOST_NEURONS}")
        self._require("hidden_sizes", len(sizes) <= MOST_LAYERS, f"at most {MOST_LAYERS} numbers")
        self._require("layers", len(self.layers) <= len(sizes), f"at most {len(sizes)} entries, one a layer")
        self._require("decision", self.decision in get_args(Decision), "sum, mean, max or spike_count")
        self._require("norm", self.norm in get_args(Norm), "batch or none")
        self._require("padding", self.padding in get_args(Padding), "ignored or paper")
        for name in ("dropout", "recurrent_dropout"):
            self._require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")
        if self.synapse_tau_ms is not None:
            grid.require("synapse_tau_ms", self.synapse_tau_ms)

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            value = getattr(self, name)
            got = list(value) if isinstance(value, tuple) else value
            raise InputError(f"`{name}` must be {rule}, got {got!s:.80}.")

    @property
    def plain(self) -> dict[str, Any]:
        """As plain values, for checkpoints and exports."""
        values: dict[str, Any] = plain(self)
        return values

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "NetworkConfig":
        """From what :attr:`plain` gave.

        Raises:
            InputError: If it is nothing of the kind, or names a class that may not be imported.
        """
        try:
            if len(values["layers"]) > len(values["hidden_sizes"]):
                raise TypeError("`layers` has more entries than `hidden_sizes`")
            if _has_giants(values):
                raise OverflowError("a number is above 2^63")
            layers = [None if layer is None else LayerConfig(**_rebuilt(layer)) for layer in values["layers"]]
            return cls(**{**_rebuilt(values), "layers": layers})
        except InputError:
            raise
        except (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as error:
            raise InputError(f"these are not the options of a network: {error!s:.200}.") from error

    def of_layer(self, index: int, name: str) -> Any:
        """The factory of a hidden layer: its own, or that of all; None where neither has one."""
        own = self.layers[index] if index < len(self.layers) else None
        return (own and getattr(own, name)) or getattr(self, name)


def _are_sizes(values: Iterable[Any]) -> bool:
    return all(isinstance(value, Integral) and 1 <= int(value) <= MOST_NEURONS for value in values)


def _has_giants(value: Any) -> bool:
    """Whether a whole number in plain values is larger than any that torch can take."""
    if isinstance(value, Mapping):
        return any(map(_has_giants, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_giants, value))
    return isinstance(value, int) and abs(value) >= 2**63


def _rebuilt(values: Mapping[str, Any]) -> dict[str, Any]:
    bases: dict[str, type] = {
        "neuron": Neuron,
        "synapses": Synapses,
        "recurrent": Synapses,
        "readout": Neuron,
    }
    made: dict[str, Any] = {
        name: rebuild(base, values[name]) for name, base in bases.items() if values.get(name) is not None
    }
    return {**values, **made}


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
        valid = None if lengths is None else real_steps(lengths, len(current))
        output = layer_output(self, current, mask, valid)
        passed_on = output if self.synaptic_filter is None else self.synaptic_filter(output)
        return passed_on if valid is None else passed_on * valid.unsqueeze(-1)

    def normed(self, current: Tensor, valid: Tensor | None = None) -> Tensor:
        """Normed currents of one or of all time steps; flat for the norm, so that SyncBatchNorm fits.

        In training, steps that are not valid, ``(T', B)``, get no current and have no part in the statistics.
        """
        if isinstance(self.norm, nn.Identity):  # torch.export cannot flatten any batch
            return current
        flat = current.flatten(0, -2)
        if valid is None or not self.training:
            return self.norm(flat).view_as(current)  # type: ignore[no-any-return]
        real = valid.flatten().nonzero().squeeze(-1)
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


def _layer_output(layer: Layer, current: Tensor, mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Spikes that the dropout mask ``(1, B, N)`` lets through, shape ``(T', B, N)``."""
    current = layer.normed(current, valid)
    recurrent = layer.recurrent
    output: Tensor = layer.neuron(current) if recurrent is None else recurrent(layer.neuron, current)
    return output * mask if layer.training else output


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
        x, lengths = counts.to(self.dtype), self._used(counts, lengths)
        if lengths is not None:
            x = x * real_steps(lengths, len(x)).unsqueeze(-1)
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
