"""A generated task that asks for a memory of a whole journey: on which side has a robot ended?"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.storage.sources import Split

ACTIONS = {"none": 0.45, "forward": 0.45, "left": 0.05, "right": 0.05}
SHIFTS = {"train": 0, "val": 1, "test": 2}


class AutonomousLocalisation(Dataset):
    """A robot goes forward, turns left or right, or waits: does it end to the right of its start?

    Input is a one for forward, left or right in each step. The published task has 50,000 samples to train on
    and 5,000 to test, and chooses by the test set; here validation has 5,000 of its own.

    Args:
        num_steps: Actions of a journey.
        num_samples: Journeys to train on; a tenth as many to validate, and a tenth to test.

    Source:
        The neuromorphic sequential arena (neuroseqbench), with the numbers in the later code of Queant et al.
        (2025), https://arxiv.org/abs/2509.24852.
    """

    num_inputs = 3
    splits = ("train", "val", "test")

    def __init__(self, *, num_steps: int = 400, num_samples: int = 50_000) -> None:
        require("dataset.num_steps", num_steps, num_steps >= 1, "at least 1")
        require("dataset.num_samples", num_samples, num_samples >= 20, "at least 20")
        self.num_steps, self.num_samples = num_steps, num_samples

    @override
    def open(self, split: Split) -> RealArrays:
        size = self.num_samples if split == "train" else self.num_samples // 10
        random = np.random.default_rng([self.num_steps, SHIFTS[split]])
        actions = random.choice(len(ACTIONS), (size, self.num_steps), p=list(ACTIONS.values())).astype(
            np.int8
        )
        values = (actions[..., None] == np.arange(1, len(ACTIONS))).astype(np.float16)
        return RealArrays(
            values=values,
            labels=(end_of(actions) > 0).astype(np.int64),
            class_names=("left or start", "right"),
        )


def end_of(actions: NDArray[np.int8]) -> NDArray[np.int64]:
    """Where journeys ``(S, T)`` end on the axis from left to right.

    Example:
        >>> end_of(np.array([[3, 1, 1], [2, 1, 0]]))  # right, forward, forward; left, forward, none
        array([ 2, -1])
    """
    turns = (actions == 3).astype(np.int64) - (actions == 2)
    heading = (np.cumsum(turns, axis=1) - turns) % 4  # before the turn of the step: forward is none
    forward = actions == 1
    ends: NDArray[np.int64] = (forward & (heading == 1)).sum(axis=1) - (forward & (heading == 3)).sum(axis=1)
    return ends
