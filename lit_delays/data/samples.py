"""Labelled samples of a split, and the batches that are made of them: what every data set hands over."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from lit_delays.data.batches import Batch
from lit_delays.data.binning import Binning
from lit_delays.data.class_names import check_class_names
from lit_delays.errors import InputError

Ints = NDArray[np.int64]

UNKNOWN = -1  # label of a sample whose class nobody knows: good for `predict` alone


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples(ABC):
    """Labelled samples; a subclass holds their inputs, and makes batches of them.

    Letter: S samples.

    Attributes:
        labels: Classes, from 0, or -1 where nobody knows; integers, shape ``(S,)``, at least one.
        class_names: Names by label; empty where they have none.
        speakers: Who spoke, or another group that must not be split; integers, shape ``(S,)``, or None.
        reopen: How another process gets at the same samples; None copies them.

    Raises:
        InputError: If lengths, types or labels do not fit together.
    """

    labels: Ints
    class_names: tuple[str, ...] = ()
    speakers: Ints | None = None
    reopen: Callable[[], "Samples"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _integers("labels", self.labels))
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        check_class_names(self.class_names, "`class_names`")
        if len(self.labels) == 0:
            raise InputError("`labels` must hold at least one sample, got 0.")
        if self.labels.min() < UNKNOWN or self.labels.max() >= (len(self.class_names) or np.inf):
            end = f"{len(self.class_names) - 1}" if self.class_names else "the number of classes"
            raise InputError(
                f"`labels` must be 0 to {end}, or {UNKNOWN} for unknown, got {self.labels.min()}"
                f" to {self.labels.max()}."
            )
        if self.speakers is not None:
            object.__setattr__(self, "speakers", _integers("speakers", self.speakers, len(self)))

    @abstractmethod
    def batch(self, indices: Ints, binning: Binning) -> Batch:
        """The samples at these indices, shape ``(B,)``."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    @abstractmethod
    def is_silent(self) -> bool:
        """Whether no sample has any input."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes by label; numbers up to the largest label where they have none."""
        return self.class_names or tuple(str(label) for label in range(int(self.labels.max()) + 1))

    @property
    def labels_present(self) -> set[int]:
        """Classes that anything here has."""
        return set(np.unique(self.labels).tolist())

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel to another process as a way to reopen the file, not as gigabytes."""
        return (self.reopen, ()) if self.reopen else super().__reduce_ex__(protocol)


class Batches(Dataset[Batch]):
    """Whole batches by the places of their samples in a set.

    Args:
        samples: All samples.
        indices: Those of them that belong to this set, shape ``(samples,)``.
        binning: How time becomes steps.
    """

    def __init__(self, samples: Samples, indices: Ints, binning: Binning) -> None:
        self.samples, self.indices, self.binning = samples, indices, binning

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, places: Ints | list[int]) -> Batch:
        """The batch of the samples at these places of the set."""
        return self.samples.batch(self.indices[np.asarray(places, np.int64)], self.binning)


def require_length(name: str, found: int, num_samples: int) -> None:
    """Refuse inputs that are more or fewer than the labels."""
    if found != num_samples:
        raise InputError(f"`{name}` must have one entry a label ({num_samples}), got {found}.")


def require_inputs(num_inputs: int, fits: bool, rule: str) -> None:
    """Refuse a number of inputs that is not that of the samples."""
    if not fits:
        raise InputError(f"`num_inputs` of the data set must be {rule}, got {num_inputs}.")


def _integers(name: str, values: ArrayLike, num_samples: int | None = None) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"`{name}` must be integers in one dimension, got {array.dtype} {array.shape}.")
    require_length(name, len(array), len(array) if num_samples is None else num_samples)
    return array.astype(np.int64, copy=False)
