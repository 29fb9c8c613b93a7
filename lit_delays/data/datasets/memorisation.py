"""A generated task that measures capacity: how many random answers can a network learn by heart?

Counts are the same in all samples, and so no network knows a sample but by the times of its spikes.
"""

import numpy as np
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.storage.sources import Split

NUM_CHANNELS, NUM_STEPS, NUM_CLASSES = 16, 32, 4
SEED = 2509


class Memorisation(Dataset):
    """Sixteen channels that spike once each, at any of 32 steps, and one of four answers drawn at random.

    There is nothing to generalise: all splits are the same samples, and a test says how many of them the
    network has kept.

    Args:
        num_samples: How many there are to remember, at least 4.

    Source:
        The capacity task of the code of Queant et al. (2025), https://arxiv.org/abs/2509.24852.
    """

    num_inputs = NUM_CHANNELS
    splits = ("train", "val", "test")

    def __init__(self, *, num_samples: int = 256) -> None:
        require("dataset.num_samples", num_samples, num_samples >= NUM_CLASSES, f"at least {NUM_CLASSES}")
        self.num_samples = num_samples

    @override
    def open(self, split: Split) -> RealArrays:
        random = np.random.default_rng([SEED, self.num_samples])
        step = random.integers(NUM_STEPS, size=(self.num_samples, 1, NUM_CHANNELS))
        values = np.zeros((self.num_samples, NUM_STEPS, NUM_CHANNELS), np.float32)
        np.put_along_axis(values, step, 1, axis=1)
        labels = random.permutation(np.arange(self.num_samples) % NUM_CLASSES)
        names = tuple(f"answer {label}" for label in range(NUM_CLASSES))
        return RealArrays(values=values, labels=labels, class_names=names)
