"""Writing a file in SHD's layout, all of it or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from lit_delays.atomic_files import atomic_path


@dataclass(frozen=True)
class SpikeTrain:
    """One sample on its way to a file.

    Attributes:
        times: Times in s, ascending, float16.
        units: Channels, uint16.
        label: Class; ``UNKNOWN`` where nobody knows it.
        speaker: Who spoke.
    """

    times: NDArray[np.float16]
    units: NDArray[np.uint16]
    label: int
    speaker: int = 0


def write_spikes(
    path: Path, samples: Sequence[SpikeTrain], class_names: Sequence[str], with_speakers: bool
) -> None:
    """Write samples in order, replacing what was there.

    Args:
        path: The file.
        samples: At least one.
        class_names: Names by label; empty where no class is known.
        with_speakers: Whether the samples' speakers are known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as place, h5py.File(place, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            column = file.create_dataset(f"spikes/{name}", (len(samples),), h5py.vlen_dtype(kind))
            for index, sample in enumerate(samples):
                column[index] = getattr(sample, name)
        file["labels"] = np.array([sample.label for sample in samples], np.int64)
        if class_names:
            file["extra/keys"] = np.array([name.encode() for name in class_names], "S")
        if with_speakers:
            file["extra/speaker"] = np.array([sample.speaker for sample in samples], np.int64)
