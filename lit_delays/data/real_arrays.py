"""Real-valued samples, such as spectrograms: what `spike_arrays.py` is for spikes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.batches import DenseBatch
from lit_delays.data.binning import Binning
from lit_delays.data.samples import Ints, Samples, require_inputs, require_length
from lit_delays.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class RealArrays(Samples):
    """Labelled samples of one length.

    Letters: S samples, T time steps, N inputs.

    Attributes:
        values: Values, float16 or float32, shape ``(S, T, N)``; in time steps already. Other numbers are
            turned into float32.

    Example:
        >>> import numpy as np
        >>> samples = RealArrays(values=np.ones((5, 20, 3), np.float32), labels=[0, 1, 0, 1, 1])
        >>> len(samples), samples.names
        (5, ('0', '1'))
    """

    values: NDArray[np.floating]

    def __post_init__(self) -> None:
        super().__post_init__()
        found = np.asarray(self.values)
        if found.ndim != 3 or found.dtype.kind not in "fiub" or 0 in found.shape[1:]:
            raise InputError(
                "`values` must be numbers of samples, time steps and inputs, got"
                f" {found.dtype} of shape {found.shape}."
            )
        require_length("values", len(found), len(self))
        if found.dtype not in (np.float16, np.float32):
            found = found.astype(np.float32)
        object.__setattr__(self, "values", found)

    @property
    @override
    def is_silent(self) -> bool:
        return not any(sample.any() for sample in self.values)  # ends with the first that has some

    @override
    def batch(self, indices: Ints, binning: Binning) -> DenseBatch:
        num_inputs = self.values.shape[2]
        require_inputs(binning.num_inputs, binning.num_inputs == num_inputs, str(num_inputs))
        found = torch.from_numpy(self.values[indices]).transpose(0, 1)
        num_steps = binning.num_steps(len(found))
        values = found.new_zeros(num_steps, *found.shape[1:])
        values[: len(found)] = found[:num_steps]
        return DenseBatch(values, torch.from_numpy(self.labels[indices]))
