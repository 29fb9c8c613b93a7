"""Spike trains in memory or mapped from disk: all spikes in two flat arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]
Ints = NDArray[np.int64]

MAX_SECONDS = 60.0  # float16 milliseconds end at 65.5 s
DTYPES: dict[str, type[np.generic]] = {  # of the arrays as they are stored
    "indptr": np.int64,
    "times": np.float16,
    "units": np.uint16,
    "labels": np.int64,
    "speakers": np.int64,  # optional
    "class_names": np.uint8,  # UTF-8, with a zero byte between names
}


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

    indptr: Ints
    times: Half
    units: NDArray[np.uint16]
    labels: Ints
    speakers: Ints | None
    class_names: tuple[str, ...]
    reopen: Callable[[], "SpikeArrays"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def sample(self, index: int) -> tuple[Half, NDArray[np.uint16]]:
        """Times and units of one sample."""
        here = slice(self.indptr[index], self.indptr[index + 1])
        return self.times[here], self.units[here]

    def gather(self, indices: Ints) -> tuple[Half, NDArray[np.uint16], Ints]:
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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by label; numbers up to the largest label where the file has none."""
        return self.class_names or tuple(str(label) for label in range(int(self.labels.max()) + 1))

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel to another process as a way to reopen the file, not as gigabytes."""
        return (self.reopen, ()) if self.reopen else super().__reduce_ex__(protocol)


def fit_together(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether stored arrays, by name, are spike trains: all there, of their types, of lengths that agree."""
    if not DTYPES.keys() - {"speakers"} <= arrays.keys() <= DTYPES.keys():
        return False
    if any(array.dtype != DTYPES[name] for name, array in arrays.items()):
        return False
    indptr, num_samples = arrays["indptr"], len(arrays["labels"])
    return (
        len(indptr) == num_samples + 1 > 1
        and indptr[0] == 0
        and bool(np.all(np.diff(indptr) >= 0))
        and indptr[-1] == len(arrays["times"]) == len(arrays["units"])
        and len(arrays.get("speakers", arrays["labels"])) == num_samples
    )
