"""A generated task that measures reach: two spikes, and the only question is which came first.

Two channels fire once each, ``lag_steps`` apart. Counts, lengths and, over all samples, the times of each
channel are the same in both classes. What a network forgets within a step cannot tell them apart; one delay
of the lag makes the spikes of one class meet, and never those of the other. Quiet steps follow: else a
delay that pushes the second spike over the end of the sample, and no meeting, would tell which it was.
"""

import numpy as np
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.storage.sources import Split

SIZES = {"train": 2000, "val": 500, "test": 1000}
JITTER = 10  # steps within which the first spike falls
QUIET = 100  # steps behind the second spike, or two lags: more than the delays of two layers outlast


class LagDetection(Dataset):
    """Two spikes in two channels: which came first? 2000 samples to train on, 500 to validate, 1000 to test.

    Without delays, or neurons that remember so long, no network exceeds chance.

    Args:
        lag_steps: Time between the spikes, in time steps, 1 to 10000.
    """

    num_inputs = 2
    splits = ("train", "val", "test")

    def __init__(self, *, lag_steps: int = 40) -> None:
        require("dataset.lag_steps", lag_steps, 1 <= lag_steps <= 10_000, "1 to 10000 steps")
        self.lag_steps = lag_steps

    @override
    def open(self, split: Split) -> RealArrays:
        random = np.random.default_rng([self.lag_steps, list(SIZES).index(split)])
        samples = np.arange(SIZES[split])
        labels, first = random.permutation(samples % 2), random.integers(JITTER, size=len(samples))
        num_steps = JITTER + self.lag_steps + max(QUIET, 2 * self.lag_steps)
        values = np.zeros((len(samples), num_steps, 2), np.float32)
        values[samples, first, labels] = 1
        values[samples, first + self.lag_steps, 1 - labels] = 1
        return RealArrays(values=values, labels=labels, class_names=("0 before 1", "1 before 0"))
