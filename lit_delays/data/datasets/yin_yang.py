"""A generated task: where in the Yin-Yang symbol is a point, told by the times of spikes."""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.data.storage.sources import Split

SEEDS = {"train": (42, 5000), "val": (41, 1000), "test": (40, 1000)}
BIG, SMALL = 0.5, 0.1  # radii of the symbol and of its dots
FIRST_MS, LAST_MS = 1.5, 20.0
NAMES = ("yang", "yin", "dot")


class YinYang(Dataset):
    """Yin, yang or dot? 5000 points to train on, 1000 to validate and 1000 to test, as five spikes each.

    Four channels spike at times that say ``x``, ``y``, ``1 - x`` and ``1 - y``, from 1.5 to 20 ms, and a
    fifth one at 0 ms.

    Source:
        Kriener et al. (2022), https://arxiv.org/abs/2102.08211; spike times as for EventProp networks with
        delays, Meszaros et al. (2025), https://arxiv.org/abs/2501.07331.
    """

    num_inputs = 5
    splits = ("train", "val", "test")

    @override
    def open(self, split: Split) -> SpikeArrays:
        points, labels = make_points(*SEEDS[split])
        coordinates = np.concatenate([points, 1 - points], axis=1)
        times_ms = FIRST_MS + coordinates * (LAST_MS - FIRST_MS)
        return SpikeArrays.of(
            list(np.concatenate([np.zeros((len(labels), 1)), times_ms / 1000], axis=1)),
            list(np.tile([4, 0, 1, 2, 3], (len(labels), 1))),
            labels=labels,
            class_names=NAMES,
        )


def make_points(seed: int, num_samples: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points in the symbol, shape ``(S, 2)`` in [0, 1], of all classes equally often, and their classes.

    Example:
        >>> points, labels = make_points(0, 3)
        >>> sorted(labels.tolist())
        [0, 1, 2]
    """
    random = np.random.default_rng(seed)
    points, labels = [], []
    for sample in range(num_samples):
        wanted = sample % len(NAMES)
        while True:
            point = random.uniform(0, 2 * BIG, 2)
            if np.hypot(*(point - BIG)) <= BIG and class_of(*point) == wanted:
                break
        points.append(point)
        labels.append(wanted)
    order = random.permutation(num_samples)
    return np.array(points)[order], np.array(labels)[order]


def class_of(x: float, y: float) -> int:
    """0 for yang, 1 for yin, 2 for a dot.

    Example:
        >>> class_of(0.5, 0.9), class_of(0.5, 0.1), class_of(0.25, 0.5)
        (1, 0, 2)
    """
    right, left = np.hypot(x - 1.5 * BIG, y - BIG), np.hypot(x - 0.5 * BIG, y - BIG)
    if min(right, left) < SMALL:
        return 2
    is_yin = left <= 0.5 * BIG or (y > BIG and right > 0.5 * BIG)
    return int(is_yin)
