"""Real-valued samples, such as spectrograms, as batches: what ``events.py`` is for spikes.

Letters: S samples, T time steps, B samples of a batch, N inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lit_delays.data.arrays import Ints
from lit_delays.data.events import Binning


@dataclass(frozen=True, eq=False)
class FeatureArrays:
    """Labelled samples of one length.

    Attributes:
        features: Values, float16, shape ``(S, T, N)``.
        labels: Classes, int64, shape ``(S,)``.
        names: Names by label.
        reopen: How another process gets at the same samples.
    """

    features: NDArray[np.float16]
    labels: Ints
    names: tuple[str, ...]
    reopen: Callable[[], "FeatureArrays"]
    speakers = None

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel to another process as a way to reopen the file, not as gigabytes."""
        return self.reopen, ()


class FeatureBatch(NamedTuple):
    """Values of B samples.

    Attributes:
        features: float16, shape ``(T, B, N)``.
        labels: Classes, int64, shape ``(B,)``.
    """

    features: Tensor
    labels: Tensor

    def counts(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The values: what the first layer sums up in place of spikes, shape ``(T, B, N)``."""
        return self.features.to(dtype)


class FeatureBatches(Dataset[FeatureBatch]):
    """Whole batches by the indices of their samples.

    Args:
        arrays: The samples.
        indices: Those of them that belong to this set, shape ``(samples,)``.
        binning: Length of a batch.
    """

    def __init__(self, arrays: FeatureArrays, indices: Ints, binning: Binning) -> None:
        self.arrays, self.indices, self.binning = arrays, indices, binning

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, places: Ints | list[int]) -> FeatureBatch:
        """The batch of the samples at these places of the set."""
        chosen = self.indices[np.asarray(places, np.int64)]
        found = self.arrays.features[chosen]
        num_steps = self.binning.num_steps(found.shape[1])
        values = torch.zeros(num_steps, len(chosen), found.shape[2], dtype=torch.float16)
        kept = torch.from_numpy(found[:, :num_steps]).transpose(0, 1)
        values[: len(kept)] = kept
        return FeatureBatch(values, torch.from_numpy(self.arrays.labels[chosen].astype(np.int64)))
