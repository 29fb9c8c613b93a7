"""Files of sequences: NumPy's ``.npz``, and the ``.ts`` of the UEA and UCR archives.

Letters: S samples, T time steps of the longest, N channels.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Series:
    """Sequences as a file has them.

    Attributes:
        x: Values, float32, shape ``(S, T, N)``, zeros behind the end of a sample.
        lengths: Steps of every sample, int64, shape ``(S,)``.
        y: What is asked: integers or words ``(S,)``, integers ``(S, T)``, real ``(S,)``, ``(S, C)`` or
            ``(S, T, C)``.
        group: Who or what a sample is from, shape ``(S,)``, or None.
        class_names: Names of the classes, where the file lists them.
    """

    x: Array
    lengths: Array
    y: Array
    group: Array | None = None
    class_names: tuple[str, ...] = ()


def read_series(path: Path) -> Series:
    """Read a file of sequences; nothing in it can run code.

    Raises:
        InputError: If there is no such file, or it is none of these.
    """
    if not path.is_file():
        raise InputError(f"cannot find {path}; check the path.")
    try:
        return _read_ts(path) if path.suffix == ".ts" else _read_npz(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as error:
        raise InputError(
            f"{path} must be a .ts file, or a .npz of `x`, `y`, perhaps `lengths` and `group`: {error!s:.200}"
        ) from error


def _read_npz(path: Path) -> Series:
    with np.load(path, allow_pickle=False) as file:
        if missing := {"x", "y"} - set(file.files):
            raise ValueError(f"`{min(missing)}` is missing")
        x, y = file["x"], file["y"]
        lengths = next((file[name] for name in ("lengths", "length") if name in file.files), None)
        group = file["group"] if "group" in file.files else None
    if x.dtype.kind not in "fiub":
        raise ValueError(f"`x` must be numbers, got {x.dtype}")
    if x.ndim == 2 and lengths is not None and len(lengths) != len(x) and int(lengths.sum()) == len(x):
        x = _stacked(np.split(x, np.cumsum(lengths)[:-1]))  # ragged: one after another
    if x.ndim == 2:
        x = x[..., None]
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"`x` must be of samples, time steps and channels, got shape {x.shape}")
    if len(y) != len(x):
        raise ValueError(f"`y` must have one entry a sample ({len(x)}), got {len(y)}")
    if y.ndim >= 2 and y.dtype.kind in "iu" and y.shape[1] != x.shape[1]:
        raise ValueError(f"`y` must have a label for each of the {x.shape[1]} steps of `x`, got {y.shape[1]}")
    lengths = np.full(len(x), x.shape[1]) if lengths is None else lengths
    return Series(x.astype(np.float32), lengths.astype(np.int64), y, group)


def _read_ts(path: Path) -> Series:
    header: dict[str, str] = {}
    rows: list[list[Array]] = []
    labels: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if line.startswith("@"):
            name, _, value = line[1:].partition(" ")
            header[name.lower()] = value.strip()
            _check_header(name.lower(), value.strip().lower())
        elif line and not line.startswith("#"):
            *channels, label = line.split(":")
            rows.append([_numbers(text, number) for text in channels])
            labels.append(label.strip())
            _check_row(rows, number)
    if not rows:
        raise ValueError("it has no series")
    known = tuple(header.get("classlabel", "").split()[1:])
    if strange := set(labels) - set(known):
        raise ValueError(
            f"`@classLabel` must list the labels of all series, which has no {min(strange)!r:.40}"
        )
    samples = [np.stack(row, axis=1) for row in rows]
    lengths = np.array([len(sample) for sample in samples], np.int64)
    return Series(_stacked(samples), lengths, np.array([known.index(label) for label in labels]), None, known)


def _check_header(name: str, value: str) -> None:
    if (name, value) in {("timestamps", "true"), ("missing", "true")}:
        raise ValueError(
            f"`@{name} true` is not read: series must be complete, in steps of one length; resample"
        )
    if name == "classlabel" and not value.startswith("true"):
        raise ValueError("`@classLabel` must be true, with the names of the classes")


def _numbers(text: str, number: int) -> Array:
    if "?" in text or "(" in text:
        what = "missing values" if "?" in text else "timestamps"
        raise ValueError(f"line {number} has {what}; series must be complete, in steps of one length")
    return np.array(text.split(","), np.float32)


def _check_row(rows: list[list[Array]], number: int) -> None:
    row = rows[-1]
    if len({len(channel) for channel in row}) != 1:
        raise ValueError(f"line {number} has channels of unequal lengths, {[len(c) for c in row]!s:.60}")
    if len(row) != len(rows[0]):
        raise ValueError(f"line {number} has {len(row)} channels, the first series has {len(rows[0])}")


def _stacked(samples: list[Array]) -> Array:
    longest = max(map(len, samples))
    x = np.zeros((len(samples), longest, samples[0].shape[1]), np.float32)
    for row, sample in zip(x, samples, strict=True):
        row[: len(sample)] = sample
    return x
