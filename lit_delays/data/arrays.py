"""Spike trains in memory or mapped from disk: all spikes in two flat arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SpikeArrays:
    """Labelled spike trains.

    Letters: S samples, E spikes of all samples.

    Attributes:
        indptr: Where samples start and end in ``times`` and ``units``, int64, shape ``(S + 1,)``.
        times: Times in s, ascending within a sample, float16, shape ``(E,)``.
        units: Channels, uint16, shape ``(E,)``.
        labels: Classes, int64, shape ``(S,)``.
        speakers: Who spoke, int64, shape ``(S,)``; None where nobody noted it.
        class_names: Names by label; empty where the file has none.
        reopen: How another process gets at the same samples; None copies them.
    """

    indptr: NDArray[np.int64]
    times: NDArray[np.float16]
    units: NDArray[np.uint16]
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    reopen: Callable[[], "SpikeArrays"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, index: int) -> tuple[NDArray[np.float16], NDArray[np.uint16]]:
        """Times and units of one sample."""
        here = slice(self.indptr[index], self.indptr[index + 1])
        return self.times[here], self.units[here]

    def gather(
        self, indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.float16], NDArray[np.uint16], NDArray[np.int64]]:
        """Times and units of several samples, one after another, and the number of spikes of each.

        Example:
            >>> times, units = np.array([0.1, 0.2, 0.3], np.float16), np.array([5, 6, 7], np.uint16)
            >>> two = SpikeArrays(np.array([0, 2, 3]), times, units, np.array([0, 1]), None, ())
            >>> two.gather(np.array([1, 0]))[1:]
            (array([7, 5, 6], dtype=uint16), array([1, 2]))
        """
        starts, ends = self.indptr[indices], self.indptr[indices + 1]
        slices = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        times = np.concatenate([self.times[:0], *(self.times[here] for here in slices)])
        units = np.concatenate([self.units[:0], *(self.units[here] for here in slices)])
        return times, units, ends - starts

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel to another process as a way to reopen the file, not as gigabytes."""
        return (self.reopen, ()) if self.reopen else super().__reduce_ex__(protocol)
