"""A data set of sensor values in `.npz` files."""

import hashlib
from pathlib import Path

import numpy as np

from lit_delays.data.datasets import Dataset
from lit_delays.data.real_arrays import RealArrays
from lit_delays.errors import InputError


class NpzSensors(Dataset):
    """Values `x` of shape (samples, time steps, sensors) and labels `y`, in train.npz and test.npz.

    Args:
        folder: Where the two files are.
    """

    def __init__(self, *, folder: str = ".") -> None:
        self.folder = Path(folder)
        with np.load(self._path("train")) as content:
            self.num_inputs = content["x"].shape[2]

    def open(self, split: str) -> RealArrays:
        with np.load(self._path(split)) as content:
            return RealArrays(values=content["x"], labels=content["y"], class_names=("left", "right"))

    def digest(self, split: str) -> str:
        return hashlib.sha256(self._path(split).read_bytes()).hexdigest()

    def _path(self, split: str) -> Path:
        path = self.folder / f"{split}.npz"
        if not path.is_file():
            raise InputError(f"cannot find {path}; check `--data.dataset.folder`.")
        return path
