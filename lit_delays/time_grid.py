"""From milliseconds to time steps: one class, one rule of rounding."""

import math
from dataclasses import dataclass

from lit_delays.errors import InputError

TOLERANCE = (
    1e-6  # time steps; what is this near to a whole number is one, as 33 / 1.1 is not in floating point
)


@dataclass(frozen=True)
class TimeGrid:
    """Time in steps of one length.

    Args:
        time_step_ms: Length of a time step, in ms, above 0.

    Raises:
        InputError: If the length is not a positive number.

    Example:
        >>> TimeGrid(1.1).whole_steps(33), TimeGrid(0.7).covering_steps(21)
        (30, 30)
    """

    time_step_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.time_step_ms < math.inf:
            raise InputError(f"`time_step_ms` must be above 0 ms, got {self.time_step_ms:g}.")

    def steps(self, milliseconds: float) -> float:
        """A time in steps, whole where it is one but for rounding.

        Example:
            >>> TimeGrid(1.1).steps(33), TimeGrid(10).steps(15)
            (30.0, 1.5)
        """
        steps = milliseconds / self.time_step_ms
        return float(round(steps)) if abs(steps - round(steps)) < TOLERANCE else steps

    def whole_steps(self, milliseconds: float) -> int:
        """Steps that fit into a time: rounded down.

        Example:
            >>> TimeGrid(10.0).whole_steps(99.0)
            9
        """
        return math.floor(self.steps(milliseconds))

    def covering_steps(self, milliseconds: float) -> int:
        """Steps that cover a time: rounded up.

        Example:
            >>> TimeGrid(10.0).covering_steps(91.0)
            10
        """
        return math.ceil(self.steps(milliseconds))

    def milliseconds(self, steps: float) -> float:
        """A number of steps as time, in ms."""
        return steps * self.time_step_ms

    def require(self, name: str, milliseconds: float) -> None:
        """Refuse a time below one time step.

        Raises:
            InputError: If it is.
        """
        if not (math.isfinite(milliseconds) and self.steps(milliseconds) >= 1):
            raise InputError(
                f"`{name}` must be at least one time step ({self.time_step_ms:g} ms), got {milliseconds:g}."
            )
