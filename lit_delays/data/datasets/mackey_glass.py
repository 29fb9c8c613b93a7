r"""A generated task: what a chaotic series will be.

.. math:: \dot x(t) = \frac{0.2\, x(t - \tau)}{1 + x(t - \tau)^{10}} - 0.1\, x(t)
"""

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.series_arrays import SeriesArrays
from lit_delays.data.splits import in_time
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError

EULER, START, SETTLING = 0.1, 1.2, 5000  # step, value before the start, times thrown away
SHARES: dict[Split, tuple[float, float]] = {"train": (0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1)}


class MackeyGlass(Dataset):
    """The Mackey-Glass series: from ``window`` values to the one ``horizon`` steps later.

    Values are in standard deviations of the part that is trained on, the first 60 %; the next 20 % are for
    validation and the rest for the test. No window reaches over the border of its part.

    Args:
        tau: Delay of the equation: chaotic from about 17 on.
        horizon: How far ahead, in steps.
        window: Values to forecast from.
        num_points: Length of the whole series, one value each unit of time.

    Source:
        Mackey and Glass (1977), Science 197; made and split as in the code of Queant et al. (2025),
        https://arxiv.org/abs/2509.24852.
    """

    num_inputs = 1
    splits = ("train", "val", "test")
    task = "ValuePerSequence"

    def __init__(
        self, *, tau: int = 17, horizon: int = 20, window: int = 150, num_points: int = 6000
    ) -> None:
        for name, value in (("tau", tau), ("horizon", horizon), ("window", window)):
            require(f"dataset.{name}", value, value >= 1, "at least 1")
        if window + horizon >= 0.2 * num_points:
            raise InputError(
                f"`--data.dataset.horizon` must leave room in the test series of {num_points // 5} points,"
                f" got {horizon} behind a window of {window}; make `num_points` larger."
            )
        self.tau, self.horizon, self.window, self.num_points = tau, horizon, window, num_points

    @override
    def open(self, split: Split) -> SeriesArrays:
        series = mackey_glass(self.tau, self.num_points)
        training = series[in_time(len(series), *SHARES["train"])]
        series = (series - training.mean()) / training.std()
        part = series[in_time(len(series), *SHARES[split])]
        windows = np.lib.stride_tricks.sliding_window_view(part, self.window)[: -self.horizon]
        return SeriesArrays(
            values=windows[..., None].astype(np.float32),
            labels=np.zeros(len(windows), np.int64),
            class_names=(f"x in {self.horizon} steps",),
            targets=part[self.window + self.horizon - 1 :, None].astype(np.float32),
        )


def mackey_glass(tau: float, num_points: int) -> NDArray[np.float64]:
    """Values at times 0, 1, 2, ..., once the start is forgotten.

    Example:
        >>> bool((0.2 < mackey_glass(17, 50)).all() and (mackey_glass(17, 50) < 1.5).all())
        True
    """
    lag, every = round(tau / EULER), round(1 / EULER)
    x = [START] * (lag + 1)
    for _ in range((SETTLING + num_points) * every):
        late, now = x[-lag - 1], x[-1]
        x.append(now + EULER * (0.2 * late / (1 + late**10) - 0.1 * now))
    return np.array(x[lag + 1 :])[::every][SETTLING:]
