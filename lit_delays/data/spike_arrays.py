"""Spike trains in memory or mapped from disk: all spikes in two flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from typing_extensions import override

from lit_delays.data.batches import EventBatch
from lit_delays.data.binning import Binning, steps_of
from lit_delays.data.samples import Ints, Samples, require_inputs, require_length
from lit_delays.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class SpikeArrays(Samples):
    """Labelled spike trains; ``SpikeArrays.of`` makes them from a list of times and channels a sample.

    Letters: S samples, E spikes of all samples.

    Attributes:
        indptr: Where samples start and end in ``times`` and ``units``, int64, shape ``(S + 1,)``.
        times: Times in s, ascending within a sample, float16, 32 or 64, shape ``(E,)``.
        units: Channels, uint16, shape ``(E,)``.
    """

    indptr: Ints
    times: NDArray[np.floating]
    units: NDArray[np.uint16]

    @classmethod
    def of(
        cls, times: Sequence[ArrayLike], units: Sequence[ArrayLike], labels: ArrayLike, **others: Any
    ) -> "SpikeArrays":
        """From the times, in s, and the channels of every sample, in any order.

        Args:
            times: Of every sample, times in s, at least 0.
            units: Of every sample, channels, 0 to 65535.
            labels: Classes, integers from 0.
            others: ``class_names``, ``speakers`` and ``reopen``.

        Raises:
            InputError: If times and units do not fit each other or the labels.

        Example:
            >>> SpikeArrays.of([[0.3, 0.1], []], [[7, 5], []], labels=[1, 0]).sample(0)
            (array([0.1, 0.3]), array([5, 7], dtype=uint16))
        """
        num_samples = len(np.asarray(labels))
        require_length("times", len(times), num_samples)
        require_length("units", len(units), num_samples)
        lengths = np.array([len(np.asarray(row)) for row in times], np.int64)
        sample, flat, channels = np.repeat(np.arange(num_samples), lengths), _joined(times), _joined(units)
        if any(len(np.asarray(row)) != length for row, length in zip(units, lengths, strict=True)):
            raise InputError("`units` must have as many channels in every sample as `times` has times.")
        if not (np.all(flat >= 0) and np.all((channels >= 0) & (channels < 2**16))):
            raise InputError("`times` must be at least 0 s, and `units` 0 to 65535.")
        order = np.lexsort((flat, sample))  # stable
        return cls(
            indptr=np.cumsum([0, *lengths]),
            times=flat[order] if flat.dtype in (np.float16, np.float32) else flat[order].astype(np.float64),
            units=channels[order].astype(np.uint16),
            labels=np.asarray(labels),
            **others,
        )

    def sample(self, index: int) -> tuple[NDArray[np.floating], NDArray[np.uint16]]:
        """Times and units of one sample."""
        here = slice(self.indptr[index], self.indptr[index + 1])
        return self.times[here], self.units[here]

    def gather(self, indices: Ints) -> tuple[NDArray[np.floating], NDArray[np.uint16], Ints]:
        """Times and units of several samples, one after another, and the number of spikes of each.

        Example:
            >>> two = SpikeArrays.of([[0.1, 0.2], [0.3]], [[5, 6], [7]], labels=[0, 1])
            >>> two.gather(np.array([1, 0]))[1:]
            (array([7, 5, 6], dtype=uint16), array([1, 2]))
        """
        starts, ends = self.indptr[indices], self.indptr[indices + 1]
        slices = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        times = np.concatenate([self.times[:0], *(self.times[here] for here in slices)])
        units = np.concatenate([self.units[:0], *(self.units[here] for here in slices)])
        return times, units, ends - starts

    @property
    @override
    def is_silent(self) -> bool:
        return len(self.times) == 0

    @override
    def batch(self, indices: Ints, binning: Binning) -> EventBatch:
        times, units, lengths = self.gather(indices)
        step = steps_of(times, binning.rule, binning.time_step_ms, lengths)
        sample = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        channel = units // np.uint16(binning.channels_per_bin)
        used, num_inputs = int(channel.max(initial=0)) + 1, binning.num_inputs
        require_inputs(num_inputs, used <= num_inputs, f"at least {used}")
        longest = int(step.max(initial=0)) + 1  # silence lasts one step
        num_steps = binning.num_steps(longest)
        last = np.zeros(len(lengths), np.int64)
        last[lengths > 0] = step[np.cumsum(lengths)[lengths > 0] - 1]  # in order of time
        if num_steps < longest:
            kept = step < num_steps
            step, channel, sample = step[kept], channel[kept], sample[kept]
        return EventBatch(
            _small(step, num_steps),
            _small(channel, num_inputs),
            torch.from_numpy(sample),
            torch.from_numpy(self.labels[indices]),
            num_steps,
            num_inputs,
            torch.from_numpy(np.minimum(last + 1, num_steps)),
        )


def _joined(rows: Sequence[ArrayLike]) -> NDArray[Any]:
    """All rows in one; empty ones, which have no type of their own, left out."""
    return np.concatenate([array for row in rows if len(array := np.asarray(row))] or [np.zeros(0)])


def _small(values: NDArray[np.integer], end: int) -> Tensor:
    """As int16 where values below ``end`` fit."""
    return torch.from_numpy(values.astype(np.int16 if end <= 2**15 else np.int32))
