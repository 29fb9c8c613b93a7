"""A generated task that only delays can solve.

Every class is an order of the channels, and every channel fires once in every sample: counts are the same in
all classes, and no two channels fire in one time step. What tells the classes apart is how long after one
channel another fires, which a network that forgets within a time step cannot know.
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.data.storage.sources import Split

NUM_CLASSES, NUM_CHANNELS = 10, 20
STEP_MS = 10.0
STEPS_PER_SLOT = 2  # the spike falls into either, at random
ORDERS_SEED = 2306  # the classes are the same in every run, and in training and test


class Patterns(Dataset):
    """2000 samples to train on and 500 to test, of 10 orders of 20 channels: made in a moment, no files."""

    num_inputs = NUM_CHANNELS

    @override
    def open(self, split: Split) -> SpikeArrays:
        return make_patterns(2000, seed=0) if split == "train" else make_patterns(500, seed=1)


def make_patterns(
    num_samples: int, num_classes: int = NUM_CLASSES, num_channels: int = NUM_CHANNELS, seed: int = 0
) -> SpikeArrays:
    """Samples of all classes in turn, made for time steps of 10 ms.

    Args:
        num_samples: Number of samples, at least 1.
        num_classes: Number of orders; the first ones are the same for any number.
        num_channels: Channels, and so spikes of every sample; one slot of 20 ms each.
        seed: Of the jitter: each spike falls into the first or the second step of its slot.

    Example:
        >>> patterns = make_patterns(num_samples=3)
        >>> len(patterns), patterns.class_names[2], sorted(patterns.sample(0)[1]) == list(range(20))
        (3, 'pattern 2', True)
    """
    labels = np.arange(num_samples) % num_classes
    units = orders(num_classes, num_channels)[labels].astype(np.uint16)
    return SpikeArrays(
        indptr=np.arange(num_samples + 1) * num_channels,
        times=_times(units.shape, seed).astype(np.float16).ravel(),
        units=units.ravel(),
        labels=labels,
        class_names=tuple(f"pattern {label}" for label in range(num_classes)),
    )


def orders(num_classes: int, num_channels: int) -> NDArray[np.int64]:
    """Channel of every slot, shape ``(num_classes, num_channels)``.

    An order is followed by its reverse, so no channel is early or late on average.

    Example:
        >>> orders(num_classes=2, num_channels=4)
        array([[1, 3, 0, 2],
               [2, 0, 3, 1]])
    """
    random = np.random.default_rng(ORDERS_SEED)
    drawn = np.array([random.permutation(num_channels) for _ in range((num_classes + 1) // 2)])
    return np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(-1, num_channels)[:num_classes]


def _times(shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    """Times in s, ascending along the last axis."""
    jitter = np.random.default_rng(seed).integers(STEPS_PER_SLOT, size=shape)
    step = STEPS_PER_SLOT * np.arange(shape[-1]) + jitter
    # in the middle of a step counted from the first spike, where rounding to float16 cannot move it
    times_ms = STEP_MS * (step + 0.5)
    times_ms[:, 0] = STEP_MS * step[:, 0]
    return times_ms / 1000
