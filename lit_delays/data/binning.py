"""From the times of spikes to the time steps of a network.

Two rules, which both start a sample at its first spike:

- ``uniform``: windows of one time step, side by side. The last one takes the spikes on its right edge.
- ``paper``: a window starts at the first spike after the one before and includes its end, so silence is
  dropped. It was in force when the paper's numbers were made.

Times in float16, as SHD's, are computed in float16, as the reference does. Finer ones are rounded to whole
microseconds (float32) or nanoseconds (float64), in which sums and edges of windows are exact.

Many samples go through at once: their times one after another, and the number of spikes of each.
Letters: E spikes (events) of all samples, B samples.

Source:
    SpikingJelly's integration of events by fixed duration, as Hammouamri et al. (2023) used it; ``uniform``
    is its rule since 2024-03-30.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lit_delays.time_grid import TOLERANCE, TimeGrid

BinningName = Literal["uniform", "paper"]
TICKS_PER_MS = {2: 1, 4: 10**3, 8: 10**6}  # by the bytes of a time
STRIDE_MS = 2**17  # sets samples apart on one axis; a power of two keeps sums with float16 exact


@dataclass(frozen=True)
class Binning:
    """How spikes become counts.

    Args:
        rule: How time is cut into windows.
        time_step_ms: Length of a time step, in ms.
        num_inputs: Number of channels after merging.
        channels_per_bin: Neighbouring channels that are merged into one.
        clip_ms: Length that is kept of a sample, in ms from its first spike; all of it for None.
        fixed: Give every batch the length of ``clip_ms`` instead of that of its longest sample.
    """

    rule: BinningName
    time_step_ms: float
    num_inputs: int
    channels_per_bin: int = 1
    clip_ms: float | None = None
    fixed: bool = False

    def num_steps(self, longest: int) -> int:
        """Length of a batch, in time steps, whose longest sample has ``longest``.

        Example:
            >>> [Binning("uniform", 10.0, 140, clip_ms=1000.0).num_steps(longest) for longest in (90, 120)]
            [90, 100]
        """
        if self.clip_ms is None:
            return longest
        most = TimeGrid(self.time_step_ms).covering_steps(self.clip_ms)
        return most if self.fixed else min(longest, most)


def steps_of(
    times: NDArray[np.floating],
    rule: BinningName = "uniform",
    time_step_ms: float = 10.0,
    lengths: NDArray[np.int64] | None = None,
) -> NDArray[np.int32]:
    """Time step of every spike, counted from the first spike of its sample.

    Args:
        times: Times in s, ascending within a sample, 0 to 60, shape ``(E,)``, in float16, 32 or 64.
        rule: How time is cut into windows.
        time_step_ms: Length of a window, in ms, above 0.
        lengths: Spikes of every sample, shape ``(B,)``; one sample where it is left out.

    Returns:
        Steps, shape ``(E,)``. A sample has as many steps as its largest plus one, an empty one has none.

    Example:
        >>> steps_of(np.array([0.5, 0.505, 0.512, 0.56]))
        array([0, 0, 1, 5], dtype=int32)
        >>> steps_of(np.array([0.5, 0.505, 0.512, 0.56]), rule="paper")
        array([0, 0, 1, 2], dtype=int32)
    """
    lengths = np.array([len(times)]) if lengths is None else lengths
    lengths = lengths[lengths > 0]  # an empty sample has no first spike
    if len(lengths) == 0:
        return np.zeros(0, np.int32)
    ends = np.cumsum(lengths)
    rules = {"uniform": _uniform_steps, "paper": _paper_steps}
    return rules[rule](_ticks(times), ends - lengths, ends, time_step_ms * TICKS_PER_MS[times.itemsize])


def _ticks(times: NDArray[np.floating]) -> NDArray[np.floating]:
    """Milliseconds in float16, or whole microseconds or nanoseconds in float64."""
    if times.itemsize == 2:
        half = torch.from_numpy(times.astype(np.float16))  # a copy, as torch wants none that is read-only
        return (half * 1000).numpy()  # torch: ten times as fast as NumPy's float16
    return np.rint(times.astype(np.float64) * (1000 * TICKS_PER_MS[times.itemsize]))


def _uniform_steps(
    ticks: NDArray[np.floating], first: NDArray[np.int64], ends: NDArray[np.int64], width: float
) -> NDArray[np.int32]:
    lengths = ends - first
    since_first = torch.from_numpy(ticks) - torch.from_numpy(np.repeat(ticks[first], lengths))
    if ticks.itemsize == 2:
        num_steps = np.ceil(since_first.numpy()[ends - 1] / np.float16(width))
        steps = (since_first.float() / width).numpy()
    else:
        steps = (since_first / width).numpy()
        whole = np.rint(steps)
        steps = np.where(np.abs(steps - whole) < TOLERANCE, whole, steps)
        num_steps = np.ceil(steps[ends - 1])
    last = np.maximum(num_steps, 1).astype(np.int32) - 1
    inside: NDArray[np.int32] = np.minimum(steps.astype(np.int32), np.repeat(last, lengths))
    return inside


def _paper_steps(
    ticks: NDArray[np.floating], first: NDArray[np.int64], ends: NDArray[np.int64], width: float
) -> NDArray[np.int32]:
    lengths = ends - first
    stride = float(STRIDE_MS)
    if ticks.itemsize == 2:
        longest_gap = _longest_half_gap(width)
    else:
        longest_gap, stride = math.floor(width * (1 + TOLERANCE)), stride * TICKS_PER_MS[8]
    axis = ticks.astype(np.float64) + np.repeat(stride * np.arange(len(lengths)), lengths)
    opens_window = np.zeros(len(axis), np.int32)
    left, end = first, ends
    while len(left):  # one round is one window of every sample that goes on
        opens_window[left] = 1
        left = np.searchsorted(axis, axis[left] + longest_gap, side="right")
        left, end = left[left < end], end[left < end]
    window = np.cumsum(opens_window, dtype=np.int32)
    steps: NDArray[np.int32] = window - np.repeat(window[first], lengths)
    return steps


def _longest_half_gap(time_step_ms: float) -> float:
    """The longest time between two spikes, in ms, that float16 rounds to at most one time step."""
    step = np.float16(time_step_ms)
    above = np.nextafter(step, np.float16(np.inf))
    middle = (float(step) + float(above)) / 2
    return middle if np.float16(middle) == step else float(np.nextafter(middle, 0))
