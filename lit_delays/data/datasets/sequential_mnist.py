"""Handwritten digits, pixel after pixel: sequential and permuted MNIST."""

from pathlib import Path

import numpy as np
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.storage.hashes import sha256_of
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError


class SequentialMNIST(Dataset):
    """Handwritten digits, a pixel a time step, in rows or in one random order for all.

    Args:
        train_file: A ``.npz`` with images ``x`` (samples, 28, 28) from 0 to 255, and digits ``y``.
        test_file: The same of the test set.
        permutation_seed: Of the order of the pixels; null for row after row. Every run with it has this
            order.
        pool: Side of the squares of pixels that are averaged to one, 1 for none: shorter sequences.

    Source:
        Le et al. (2015), https://arxiv.org/abs/1504.00941.
    """

    num_inputs = 1

    def __init__(
        self, *, train_file: str, test_file: str, permutation_seed: int | None = None, pool: int = 1
    ) -> None:
        require("dataset.pool", pool, pool in (1, 2, 4, 7, 14), "1, 2, 4, 7 or 14")
        self.files: dict[Split, Path] = {
            "train": Path(train_file).expanduser(),
            "test": Path(test_file).expanduser(),
        }
        self.permutation_seed, self.pool = permutation_seed, pool

    @override
    def open(self, split: Split) -> RealArrays:
        images, digits = self._read(split)
        side = 28 // self.pool
        pixels = (
            images.reshape(-1, side, self.pool, side, self.pool).mean(axis=(2, 4)).reshape(len(images), -1)
        )
        if self.permutation_seed is not None:
            pixels = pixels[:, np.random.default_rng(self.permutation_seed).permutation(side**2)]
        values = (pixels / 255).astype(np.float16)[..., None]
        return RealArrays(values=values, labels=digits, class_names=tuple("0123456789"))

    def _read(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        path = self.files[split]
        try:
            with np.load(path, allow_pickle=False) as file:
                images, digits = file["x"], file["y"]
            if images.shape[1:] != (28, 28) or digits.shape != images.shape[:1]:
                raise ValueError(f"they have shapes {images.shape} and {digits.shape}")
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{path} must be a .npz of images `x` (samples, 28, 28) and digits `y`: {error!s:.200}"
            ) from error
        return images.astype(np.float32), digits.astype(np.int64)

    @override
    def digest(self, split: Split) -> str:
        return sha256_of(self.files[split])

    @override
    def name_of(self, split: Split) -> str:
        return str(self.files[split])
