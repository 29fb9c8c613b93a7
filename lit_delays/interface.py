"""What the inputs and the answers of a network mean: kept with it wherever it goes."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lit_delays.components import plain
from lit_delays.errors import InputError
from lit_delays.plain_text import printable

BINNINGS = ("uniform", "paper")


@dataclass(frozen=True, kw_only=True)
class Interface:
    """From a recording to the input of a network, and from its answer to a name.

    Attributes:
        class_names: Names of the classes by label.
        num_units: Channels of a recording; None where inputs are no spikes of channels.
        channels_per_bin: Neighbouring channels of a recording that one input merges.
        binning: How time is cut into steps: ``uniform``, or the ``paper``'s.
        clip_ms: Length that is kept of a sample, in ms from its first spike; None for all of it.
        task: What is asked of the network: a class of :mod:`lit_delays.tasks`, or the path of another one.
        scale: Mean and standard deviation of every channel of a real-valued recording, whose values a network
            takes in deviations from the mean; None where inputs are as they come.
        crossing: Distance in deviations between two levels, where inputs are spikes at each that a channel
            crosses, upwards in the first inputs, downwards in the others; None where they are the values.
        dataset: The data set that it was trained on, with its options, as plain values.

    Raises:
        InputError: If a value is out of its range, or of another type.

    Example:
        >>> interface = Interface(class_names=("no", "yes"), clip_ms=1000.0)
        >>> Interface.of(interface.plain) == interface
        True
    """

    class_names: tuple[str, ...]
    num_units: int | None = None
    channels_per_bin: int = 1
    binning: str = "uniform"
    clip_ms: float | None = None
    task: str = "ClassPerSequence"
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    crossing: float | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names, units, clip_ms = self.class_names, self.num_units, self.clip_ms
        is_named = isinstance(names, tuple) and names and all(isinstance(name, str) for name in names)
        self._require("class_names", bool(is_named), "be a list of one or more names")
        is_shown = is_named and all(printable(name) == name for name in names)
        self._require("class_names", bool(is_shown), "have no control characters")
        self._require("channels_per_bin", _is_size(self.channels_per_bin), "be at least 1")
        self._require("num_units", units is None or _is_size(units), "be at least 1, or null")
        self._require("binning", self.binning in BINNINGS, f"be {' or '.join(BINNINGS)}")
        self._require("clip_ms", clip_ms is None or _is_above_0(clip_ms), "be above 0 ms, or null")
        is_task = isinstance(self.task, str) and self.task.replace(".", "").isidentifier()
        self._require("task", is_task, "be a class, or the path of one")
        rule = "be a mean and a deviation above 0 for every channel, all finite, or null"
        self._require("scale", self.scale is None or _is_scale(self.scale), rule)
        crossing = self.crossing
        self._require("crossing", crossing is None or _is_above_0(crossing), "be above 0, or null")
        self._require("dataset", isinstance(self.dataset, Mapping), "be a mapping")

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InputError(f"`{name}` must {rule}, got {getattr(self, name)!r:.80}.")

    @property
    def plain(self) -> dict[str, Any]:
        """As plain values, for checkpoints and exports."""
        values: dict[str, Any] = plain(self)
        return values

    @classmethod
    def of(cls, values: Any) -> "Interface":
        """From what :attr:`plain` gave.

        Raises:
            InputError: If it is nothing of the kind.
        """
        known = {item.name for item in fields(cls)}
        if not isinstance(values, Mapping) or set(values) - known or "class_names" not in values:
            raise InputError(f"an interface must have {', '.join(sorted(known))}, got {values!r:.200}.")
        return cls(**{name: _tuples(value) if name != "dataset" else value for name, value in values.items()})


def _tuples(value: Any) -> Any:
    """Lists, which files have, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _is_scale(value: Any) -> bool:
    if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(row, tuple) for row in value)):
        return False
    mean, deviation = value
    return all(map(_is_number, mean)) and 0 < len(mean) == len(deviation) and all(map(_is_above_0, deviation))


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 1
