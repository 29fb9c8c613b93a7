"""Sequences of real values of any length, and what is asked about each of them, or about each step.

Letters: S samples, T time steps of the longest, N inputs, C values, B samples of a batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.batches import DenseBatch
from lit_delays.data.binning import Binning
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.samples import Ints, require_inputs, require_length
from lit_delays.errors import InputError
from lit_delays.tasks import IGNORE


@dataclass(frozen=True, eq=False, kw_only=True)
class SeriesArrays(RealArrays):
    """Samples of unequal lengths.

    Attributes:
        values: Shape ``(S, T, N)``, zeros behind the end of a sample.
        lengths: Steps of every sample, integers, shape ``(S,)``; None where all have T.
        targets: What is asked, where it is not the class of a sample: real values ``(S, C)``, classes of
            every step ``(S, T)``, -1 in steps that do not count, or real values of every step ``(S, T, C)``,
            not a number in steps that do not count.

    Raises:
        InputError: If lengths or targets do not fit the values, or values are not numbers; says where.

    Example:
        >>> values = np.zeros((2, 5, 1), np.float32)
        >>> samples = SeriesArrays(values=values, labels=[0, 1], lengths=np.array([5, 3]))
        >>> samples.batch(np.array([1]), Binning("uniform", 10.0, 1)).values.shape
        torch.Size([3, 1, 1])
    """

    lengths: Ints | None = None
    targets: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        bad = ~np.isfinite(self.values)
        if bad.any():
            sample, step, channel = (int(at) for at in np.argwhere(bad)[0])
            raise InputError(
                f"`x` must be all numbers, got {self.values[sample, step, channel]} in sample {sample}, step"
                f" {step}, channel {channel}; fill gaps before."
            )
        longest = self.values.shape[1]
        if self.lengths is not None:
            require_length("lengths", len(self.lengths), len(self))
            if self.lengths.min() < 1 or self.lengths.max() > longest:
                raise InputError(
                    f"`lengths` must be 1 to {longest}, the steps of the longest sample, got"
                    f" {self.lengths.min()} to {self.lengths.max()}."
                )
        if self.targets is not None:
            self._check_targets(self.targets, longest)

    def _check_targets(self, targets: NDArray[Any], longest: int) -> None:
        require_length("targets", len(targets), len(self))
        is_class = targets.dtype.kind in "iu"
        if (targets.ndim == 3 or is_class) and targets.shape[1] != longest:
            raise InputError(
                f"`y` must have a label for each of the {longest} steps of `x`, got {targets.shape[1]}."
            )
        end = len(self.class_names) - 1
        if is_class and self.class_names and not IGNORE <= targets.min() <= targets.max() <= end:
            raise InputError(
                f"`y` must be 0 to {end}, the classes of the training file, or {IGNORE} for no label, got"
                f" {targets.min()} to {targets.max()}."
            )

    @property
    @override
    def labels_present(self) -> set[int]:
        """Classes of samples or of steps; all names where values are asked, which have none to lack."""
        if self.targets is None:
            return super().labels_present
        if self.targets.dtype.kind == "f":
            return set(range(len(self.names)))
        return set(np.unique(self.targets).tolist()) - {IGNORE}

    @override
    def batch(self, indices: Ints, binning: Binning) -> DenseBatch:
        num_inputs = self.values.shape[2]
        require_inputs(binning.num_inputs, binning.num_inputs == num_inputs, str(num_inputs))
        lengths = (
            np.full(len(indices), self.values.shape[1]) if self.lengths is None else self.lengths[indices]
        )
        longest = int(lengths.max(initial=1))
        num_steps = binning.num_steps(longest)
        values = _cut(self.values[indices], num_steps, 0).transpose(1, 0, 2)
        return DenseBatch(
            torch.from_numpy(np.ascontiguousarray(values)),
            self._targets(indices, num_steps),
            torch.from_numpy(np.minimum(lengths, num_steps).astype(np.int64)),
        )

    def _targets(self, indices: Ints, num_steps: int) -> torch.Tensor:
        """Time first, where every step has one."""
        if self.targets is None:
            return torch.from_numpy(self.labels[indices])
        found = self.targets[indices]
        if found.dtype.kind in "iu":
            return torch.from_numpy(_cut(found, num_steps, IGNORE).astype(np.int64)).T
        if found.ndim == 3:
            return torch.from_numpy(_cut(found, num_steps, np.nan).astype(np.float32)).transpose(0, 1)
        return torch.from_numpy(found.astype(np.float32))


def _cut(rows: NDArray[Any], num_steps: int, filling: float) -> NDArray[Any]:
    """So many steps of every sample, shape ``(B, num_steps, ...)``."""
    kept = rows[:, :num_steps]
    padded = np.full((len(rows), num_steps, *rows.shape[2:]), filling, rows.dtype)
    padded[:, : kept.shape[1]] = kept
    return padded
