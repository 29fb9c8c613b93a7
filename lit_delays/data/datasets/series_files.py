"""Your own sequences: sensors, ECG, any time series, from ``.npz`` or ``.ts`` files.

Letters: S samples, T time steps, N channels, C values.
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.series_arrays import SeriesArrays
from lit_delays.data.storage.hashes import sha256_of
from lit_delays.data.storage.series import Series, read_series
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError

Array = NDArray[Any]


class SeriesFiles(Dataset):
    """Your own sequences, ``.npz`` or ``.ts``; what is asked follows from ``y``.

    A ``.npz`` has ``x`` of samples, steps and channels; ``y``, a class (a number or a word) or real values
    for each sample, or for each of its steps too (-1, or not a number, where there is none); and perhaps
    ``lengths``, steps of every sample, and ``group``, such as a person: validation holds out whole groups.
    Ragged samples may lie one after another in ``x``, of steps and channels, with their ``lengths``.

    Args:
        train_file: File to learn from.
        test_file: File to test with.
        val_file: File to validate with; by default a part of the training file.
        inputs: What the first layer gets: ``values``, as currents, each channel in standard deviations from
            its mean over the training file; or ``crossings``, spikes wherever a channel has risen or fallen
            by another ``threshold``, in two channels for each.
        threshold: Of crossings, in standard deviations of the channel over the training file, above 0.

    Raises:
        InputError: If a file cannot be read, or one does not fit the others.
    """

    def __init__(
        self,
        *,
        train_file: str,
        test_file: str,
        val_file: str | None = None,
        inputs: Literal["values", "crossings"] = "values",
        threshold: float = 0.5,
    ) -> None:
        require("dataset.threshold", threshold, 0 < threshold < np.inf, "above 0")
        named: dict[Split, str | None] = {"train": train_file, "val": val_file, "test": test_file}
        self.files = {split: Path(file).expanduser() for split, file in named.items() if file}
        self.splits, self.crossing = tuple(self.files), threshold if inputs == "crossings" else None

    @cached_property
    def _train(self) -> Series:
        return read_series(self.files["train"])

    @property
    def num_inputs(self) -> int:  # type: ignore[override]
        """One a channel, or two for crossings."""
        return int(self._train.x.shape[2]) * (1 if self.crossing is None else 2)

    @property
    def task(self) -> str:  # type: ignore[override]
        """What ``y`` asks."""
        y = self._train.y
        if y.dtype.kind == "f":
            return "ValuePerStep" if y.ndim == 3 else "ValuePerSequence"
        return "ClassPerStep" if y.ndim == 2 else "ClassPerSequence"

    @cached_property
    def _scale(self) -> tuple[Array, Array]:
        """Mean and standard deviation of every channel over the real steps of the training file."""
        real = np.arange(self._train.x.shape[1]) < self._train.lengths[:, None]
        steps = self._train.x[real].astype(np.float64)
        deviation = steps.std(axis=0)
        return steps.mean(axis=0), np.where(deviation > 0, deviation, 1)

    @property
    def scale(self) -> tuple[tuple[float, ...], tuple[float, ...]]:  # type: ignore[override]
        """The same as plain numbers, which a trained network keeps."""
        mean, deviation = self._scale
        return tuple(mean.tolist()), tuple(deviation.tolist())

    @override
    def open(self, split: Split) -> SeriesArrays:
        series = self._train if split == "train" else read_series(self.files[split])
        self._check(split, series)
        try:
            return self._samples(series)
        except InputError as error:
            raise InputError(f"{self.files[split]}: {error}") from error

    @override
    def digest(self, split: Split) -> str:
        return sha256_of(self.files[split])

    @override
    def name_of(self, split: Split) -> str:
        return str(self.files[split])

    def _check(self, split: Split, series: Series) -> None:
        found, wanted = series.x.shape[2], self._train.x.shape[2]
        if found != wanted:
            raise InputError(
                f"{self.files[split]}: `x` must have the {wanted} channels of the training file, got {found}."
            )
        if split == "train" or series.group is None or self._train.group is None:
            return
        if shared := set(series.group.tolist()) & set(self._train.group.tolist()):
            raise InputError(
                f"{self.files[split]}: `group` {min(shared)!r:.40} is in the training file too; it must be in"
                " one file alone, or what was learned of it is tested."
            )

    def _samples(self, series: Series) -> SeriesArrays:
        mean, deviation = self._scale
        if not np.isfinite(series.x).all():
            SeriesArrays(values=series.x, labels=np.zeros(len(series.x), np.int64))  # says where
        values = ((series.x - mean) / deviation).astype(np.float32)
        real = np.arange(values.shape[1]) < series.lengths[:, None]
        values[~real] = 0
        if self.crossing is not None:
            values = crossings(values, self.crossing)
        names = series.class_names or self._names
        group = None if series.group is None else np.unique(series.group, return_inverse=True)[1]
        return SeriesArrays(
            values=values,
            lengths=series.lengths,
            speakers=group,
            **self._asked(series.y, names),
        )

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Classes of the training file by label, or names of its values."""
        y = self._train.y
        if y.dtype.kind == "U":
            return tuple(sorted(set(y.tolist())))
        if y.dtype.kind == "f":
            return tuple(f"value {index}" for index in range(y.shape[-1] if y.ndim > 1 else 1))
        return tuple(map(str, range(int(y.max()) + 1)))

    def _asked(self, y: Array, names: tuple[str, ...]) -> dict[str, Any]:
        """Labels and targets, as samples have them."""
        if y.dtype.kind == "U":
            if strange := set(y.tolist()) - set(names):
                raise InputError(f"`y` must be classes of the training file, got {min(strange)!r:.40}.")
            return {"labels": np.searchsorted(names, y), "class_names": names}
        if y.ndim == 1 and y.dtype.kind in "iu":
            return {"labels": y.astype(np.int64), "class_names": names}
        if y.dtype.kind not in "fiu":
            raise InputError(f"`y` must be classes or real values, got {y.dtype}.")
        if y.dtype.kind == "f" and y.ndim < 3 and not np.isfinite(y).all():
            raise InputError(
                f"`y` must be all numbers, got none in sample {int(np.argwhere(~np.isfinite(y))[0][0])}."
            )
        targets = y[:, None] if y.ndim == 1 else y
        return {"labels": np.zeros(len(y), np.int64), "class_names": names, "targets": targets}


def crossings(values: Array, threshold: float) -> Array:
    """Spikes wherever a channel has moved by a threshold: up in the first N channels, down in the others.

    A channel that jumps further spikes as often as it crosses.

    Args:
        values: Shape ``(S, T, N)``.
        threshold: Distance of two levels, above 0.

    Example:
        >>> crossings(np.array([[[0.0], [1.2], [1.2], [0.1]]]), 0.5)[0].tolist()
        [[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    num_channels = values.shape[2]
    spikes = np.zeros((*values.shape[:2], 2 * num_channels), np.float32)
    level = np.zeros_like(values[:, 0])
    for t in range(values.shape[1]):
        steps = np.trunc((values[:, t] - level) / threshold)
        level = level + steps * threshold
        spikes[:, t, :num_channels], spikes[:, t, num_channels:] = np.maximum(steps, 0), np.maximum(-steps, 0)
    return spikes
