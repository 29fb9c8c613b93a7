"""What the inputs and the answers of a network mean: kept with it wherever it goes."""

import math
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
        is_time = type(clip_ms) in (int, float) and 0 < (clip_ms or 0) < math.inf
        self._require("clip_ms", clip_ms is None or is_time, "be above 0 ms, or null")
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
        names = values["class_names"]
        return cls(**{**values, "class_names": tuple(names) if isinstance(names, list) else names})


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 1
