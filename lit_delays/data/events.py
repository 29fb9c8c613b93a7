"""A batch on its way to the device: events, which are small to move, and the counts made of them there.

Letters: T time steps, B samples, N channels, E events.
"""

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lit_delays.data.arrays import Ints, SpikeArrays
from lit_delays.data.spikes import BinningName, steps_of


class EventBatch(NamedTuple):
    """Spikes of B samples, one after another.

    Attributes:
        step: Time step of every spike, int16 or int32, shape ``(E,)``.
        channel: Input channel of every spike, int16 or int32, shape ``(E,)``.
        sample: Place in the batch of every spike, int32, shape ``(E,)``.
        labels: Classes, int64, shape ``(B,)``.
        num_steps: Length ``T`` of the batch, in time steps, at least 1.
        num_inputs: Number of channels ``N``.
    """

    step: Tensor
    channel: Tensor
    sample: Tensor
    labels: Tensor
    num_steps: int
    num_inputs: int

    def counts(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Spikes in every time step, sample and channel, shape ``(T, B, N)``, on the device of the events.

        Example:
            >>> step, channel = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 1])
            >>> labels, sample = torch.tensor([7]), torch.tensor([0, 0, 0])
            >>> EventBatch(step, channel, sample, labels, num_steps=2, num_inputs=2).counts()
            tensor([[[1., 0.]],
            <BLANKLINE>
                    [[0., 2.]]])
        """
        num_samples = len(self.labels)
        size = self.num_steps * num_samples * self.num_inputs
        place = self.step.to(torch.int32 if size < 2**31 else torch.int64)  # half the memory to go through
        place = place.mul(num_samples).add_(self.sample).mul_(self.num_inputs).add_(self.channel)
        counts = torch.zeros(size, device=place.device)
        # whole numbers below 2^24: the sum is the same in any order, so on any device
        counts.index_add_(0, place, counts.new_ones(len(place)))
        return counts.view(self.num_steps, num_samples, self.num_inputs).to(dtype)


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
        most = ceil(self.clip_ms / self.time_step_ms)
        return most if self.fixed else min(longest, most)


class EventBatches(Dataset[EventBatch]):
    """Whole batches by the indices of their samples.

    Args:
        arrays: The samples.
        indices: Those of them that belong to this set, shape ``(samples,)``.
        binning: How spikes become counts.
    """

    def __init__(self, arrays: SpikeArrays, indices: Ints, binning: Binning) -> None:
        self.arrays, self.indices, self.binning = arrays, indices, binning

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, places: Ints | list[int]) -> EventBatch:
        """The batch of the samples at these places of the set."""
        chosen = self.indices[np.asarray(places, np.int64)]
        times, units, lengths = self.arrays.gather(chosen)
        labels = torch.from_numpy(self.arrays.labels[chosen].astype(np.int64))
        step = steps_of(times, self.binning.rule, self.binning.time_step_ms, lengths)
        sample = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        channel = units // np.uint16(self.binning.channels_per_bin)
        longest = int(step.max(initial=0)) + 1  # silence lasts one step
        num_steps = self.binning.num_steps(longest)
        if num_steps < longest:
            kept = step < num_steps
            step, channel, sample = step[kept], channel[kept], sample[kept]
        return EventBatch(
            _small(step, num_steps),
            _small(channel, self.binning.num_inputs),
            torch.from_numpy(sample),
            labels,
            num_steps,
            self.binning.num_inputs,
        )


def _small(values: NDArray[np.integer], end: int) -> Tensor:
    """As int16 where values below ``end`` fit."""
    return torch.from_numpy(values.astype(np.int16 if end <= 2**15 else np.int32))
