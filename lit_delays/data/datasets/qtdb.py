"""The QT database: the waves of an electrocardiogram, a label a step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.data.datasets.series_files import SeriesFiles
from lit_delays.data.series_arrays import SeriesArrays
from lit_delays.data.storage.series import Series
from lit_delays.tasks import IGNORE

NAMES = ("P", "PQ", "QR", "RS", "ST", "TP")
UNLABELLED = 255


class QTDB(SeriesFiles):
    """Electrocardiograms as level crossings of two leads, up and down; six waves to tell apart in every step.

    Whether patients are shared between the files is not known.

    Args:
        train_file: A ``.npz`` of ``x`` (samples, steps, 4), ``y`` (samples, steps) from 0 to 5 or 255 for no
            label, and ``length``.
        test_file: The same of the test set.
        unlabelled: What steps without a label count as: ``ignored``, or ``class 0``, as in the code that
            published 85.9 %.

    Source:
        Yin et al. (2021), https://doi.org/10.1038/s42256-021-00397-w.
    """

    task = "ClassPerStep"

    def __init__(self, *, train_file: str, test_file: str, unlabelled: str = "ignored") -> None:
        super().__init__(train_file=train_file, test_file=test_file)
        self.unlabelled = unlabelled

    @override
    def _samples(self, series: Series) -> SeriesArrays:
        missing = IGNORE if self.unlabelled == "ignored" else 0
        y: NDArray[Any] = np.where(series.y == UNLABELLED, missing, series.y.astype(np.int64))
        inside = np.arange(y.shape[1]) < series.lengths[:, None]
        return SeriesArrays(
            values=series.x,
            lengths=series.lengths,
            labels=np.zeros(len(y), np.int64),
            class_names=NAMES,
            targets=np.where(inside, y, IGNORE),
        )
