"""What makes a network: its sizes, and the class of each part of its layers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, get_args

from lit_delays.components import Factory, plain, rebuild
from lit_delays.errors import InputError
from lit_delays.snn.neurons import LIF, Neuron
from lit_delays.snn.readout import Decision
from lit_delays.snn.synapses import Synapses, SynapticDelays
from lit_delays.time_grid import TimeGrid

MOST_LAYERS, MOST_NEURONS = 1000, 2**31  # hidden ones; of a layer, and channels of an input

PARTS = ("neuron", "synapses", "recurrent")  # of a layer, that are chosen by class
Padding = Literal["ignored", "paper"]
Norm = Literal["batch", "none"]

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
