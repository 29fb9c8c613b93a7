"""From the times of spikes to the time steps of a network.

Two rules, which both start a sample at its first spike and compute in the files' float16:

- ``uniform``: windows of one time step, side by side. The last one takes the spikes on its right edge.
- ``paper``: a window starts at the first spike after the one before and includes its end, so silence is
  dropped. It was in force when the paper's numbers were made.

Many samples go through at once: their times one after another, and the number of spikes of each.
Letters: E spikes (events) of all samples, B samples.

Source:
    SpikingJelly's integration of events by fixed duration, as Hammouamri et al. (2023) used it; ``uniform``
    is its rule since 2024-03-30.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_delays.data.arrays import Ints

BinningName = Literal["uniform", "paper"]
SAMPLE_STRIDE_MS = 2.0**17  # sets samples apart on one axis; a power of two keeps float64 sums exact


def steps_of(
    times: NDArray[np.floating],
    rule: BinningName = "uniform",
    time_step_ms: float = 10.0,
    lengths: Ints | None = None,
) -> NDArray[np.int32]:
    """Time step of every spike, counted from the first spike of its sample.

    Args:
        times: Times in s, ascending within a sample, 0 to 60, shape ``(E,)``; rounded to float16.
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
    if lengths is None:
        lengths = np.array([len(times)])
    rules = {"uniform": _uniform_steps, "paper": _paper_steps}
    full = lengths > 0  # an empty sample has no first spike
    if not full.all():
        lengths = lengths[full]
    if len(lengths) == 0:
        return np.zeros(0, np.int32)
    return rules[rule](_milliseconds(times), lengths, time_step_ms)


def _milliseconds(times: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(times.astype(np.float16)) * 1000  # torch: ten times as fast as NumPy's float16


def _uniform_steps(times_ms: Tensor, lengths: Ints, time_step_ms: float) -> NDArray[np.int32]:
    ends = np.cumsum(lengths)
    since_first = times_ms - torch.from_numpy(np.repeat(times_ms.numpy()[ends - lengths], lengths))
    durations = since_first.numpy()[ends - 1]
    num_steps = np.maximum(np.ceil(durations / np.float16(time_step_ms)), 1).astype(np.int32)
    steps = (since_first.float() / time_step_ms).int().numpy()
    inside: NDArray[np.int32] = np.minimum(steps, np.repeat(num_steps - 1, lengths))
    return inside


def _paper_steps(times_ms: Tensor, lengths: Ints, time_step_ms: float) -> NDArray[np.int32]:
    ends = np.cumsum(lengths)
    offsets = SAMPLE_STRIDE_MS * np.arange(len(lengths))
    axis = times_ms.double().numpy() + np.repeat(offsets, lengths)
    width = _longest_gap(time_step_ms)
    opens_window = np.zeros(len(axis), np.int32)
    first = ends - lengths
    left, end = first, ends
    while len(left):  # one round is one window of every sample that goes on
        opens_window[left] = 1
        left = np.searchsorted(axis, axis[left] + width, side="right")
        left, end = left[left < end], end[left < end]
    window = np.cumsum(opens_window, dtype=np.int32)
    steps: NDArray[np.int32] = window - np.repeat(window[first], lengths)
    return steps


def _longest_gap(time_step_ms: float) -> float:
    """The longest time between two spikes, in ms, that float16 rounds to at most one time step."""
    step = np.float16(time_step_ms)
    above = np.nextafter(step, np.float16(np.inf))
    middle = (float(step) + float(above)) / 2
    return middle if np.float16(middle) == step else float(np.nextafter(middle, 0))
