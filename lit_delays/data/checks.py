"""What :class:`~lit_delays.data.module.SpikeData` asks of its options."""

import math
from collections.abc import Collection
from pathlib import Path

from lit_delays.data.arrays import Ints, SpikeArrays
from lit_delays.data.shd_layout import UNKNOWN
from lit_delays.data.sources import Split
from lit_delays.errors import InputError


def check_lengths(time_step_ms: float, clip_ms: float | None, padding: str) -> None:
    """A time step is positive, and a clip, which fixed padding needs, holds one or more."""
    require("time_step_ms", time_step_ms, 0 < time_step_ms < math.inf, "above 0 ms")
    if clip_ms is not None:
        shortest = f"at least one time step ({time_step_ms:g} ms)"
        require("clip_ms", clip_ms, time_step_ms <= clip_ms < math.inf, shortest)
    elif padding == "fixed":
        raise InputError("`--data.padding=fixed` needs `--data.clip_ms`, the length to pad to, in ms.")


def check_own_files(own_files: Collection[Split]) -> None:
    """Files of one's own are for training and for testing, at least."""
    for split in ("train", "test"):
        if split not in own_files:
            raise InputError(f"your own files need `--data.{split}_file`; give the path of an HDF5 file.")


def check_classes(arrays: SpikeArrays, names: tuple[str, ...], path: Path) -> None:
    """A file's classes are those of the training file."""
    if arrays.class_names and arrays.class_names != names:
        raise InputError(
            f"{path}: `extra/keys` must name the classes of the training file,"
            f" {', '.join(names)}, got {', '.join(arrays.class_names)}."
        )
    if (largest := int(arrays.labels.max())) >= len(names):
        raise InputError(
            f"{path}: `labels` must be below {len(names)}, the training file's classes, got {largest}."
        )


def require(option: str, value: float, holds: bool, rule: str) -> None:
    """Refuse the value of an option that breaks its rule."""
    if not holds:
        raise InputError(f"`--data.{option}` must be {rule}, got {value:g}.")


def check_known(labels: Ints, path: Path) -> None:
    """Training and testing need to know every class."""
    if (unknown := labels == UNKNOWN).any():
        raise InputError(
            f"{path}: `labels` of sample {int(unknown.argmax())} must be known, got {UNKNOWN};"
            " give the file as --data.predict_file, to `predict`."
        )
