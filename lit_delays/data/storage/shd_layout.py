"""SHD's layout of an HDF5 file, read piece by piece and checked.

================== ==================== ======================================================
``spikes/times``   lists of floats      s, 0 to 60; no more spikes than the file has bytes for
``spikes/units``   lists of integers    channels, 0 to ``num_units - 1``
``labels``         integers             classes, from 0; -1 where none is known
``extra/speaker``  integers, optional   who spoke
``extra/keys``     texts, optional      names of the classes, printable
================== ==================== ======================================================

Every function raises an InputError that names the file, the rule and the first sample that breaks it.
`reader_process.py` calls :func:`read`, in a process that imports as little as this file does.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lit_delays.data.class_names import check_class_names
from lit_delays.errors import InputError
from lit_delays.security.hdf5_guard import dataset, entries, optional_dataset
from lit_delays.security.stored_bytes import stored_bytes

SAMPLES_AT_ONCE = 64
MAX_CLASSES = 2**16
MAX_SECONDS = 60.0  # float16 milliseconds end at 65.5 s
UNKNOWN = -1  # label of a sample whose class nobody knows: good for `predict` alone

Ints = NDArray[np.int64]
Chunk = tuple[NDArray[np.floating], NDArray[np.uint16], Ints]


def read(file: h5py.File, num_units: int) -> Iterator[tuple[Mapping[str, NDArray[Any]], int, int]]:
    """All arrays of a file, in pieces that are checked: arrays by name, samples done, samples in all."""
    labels, speakers = read_labels(file), read_speakers(file)
    names = "\0".join(read_class_names(file)).encode()
    once: dict[str, NDArray[Any]] = {"labels": labels, "indptr": np.zeros(1, np.int64)}
    once["class_names"] = np.frombuffer(names, np.uint8)
    yield once if speakers is None else once | {"speakers": speakers}, 0, len(labels)
    done = spikes = 0
    for times, units, lengths in read_spikes(file, num_units):
        ends, done = spikes + np.cumsum(lengths), done + len(lengths)
        spikes = int(ends[-1])
        yield {"times": times, "units": units, "indptr": ends}, done, len(labels)


def read_class_names(file: h5py.File) -> tuple[str, ...]:
    """Names of the classes by label; empty where the file names none."""
    keys = optional_dataset(file, "extra/keys", "SO", MAX_CLASSES)
    texts: Iterable[bytes | str] = [] if keys is None else entries(keys)
    names = [text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in texts]
    check_class_names(names, f"{file.filename}: `extra/keys`")
    return tuple(names)


def read_labels(file: h5py.File) -> Ints:
    """Classes of all samples, shape ``(S,)``."""
    labels = entries(dataset(file, "labels", "iu"))
    if len(labels) == 0:
        raise InputError(f"{file.filename}: `labels` must hold at least one sample, got 0.")
    num_classes = len(read_class_names(file))
    rule = f"0 to {MAX_CLASSES - 1}"
    if num_classes:
        rule = f"below the number of names in `extra/keys` ({num_classes})"
    wrong = labels >= (num_classes or MAX_CLASSES)
    if not wrong.any():
        wrong, rule = labels < UNKNOWN, f"at least 0, or {UNKNOWN} for unknown"
    if wrong.any():
        sample = int(wrong.argmax())
        raise InputError(
            f"{file.filename}: `labels` of sample {sample} must be {rule}, got {labels[sample]}."
        )
    return labels.astype(np.int64)


def read_speakers(file: h5py.File) -> Ints | None:
    """Speakers of all samples, int64, shape ``(S,)``; None where the file names none."""
    speakers = optional_dataset(file, "extra/speaker", "iu")
    if speakers is None:
        return None
    _check_length(speakers, len(dataset(file, "labels", "iu")))
    return entries(speakers).astype(np.int64)


def read_spikes(file: h5py.File, num_units: int) -> Iterator[Chunk]:
    """Times in s, units and numbers of spikes, of a few hundred samples at a time.

    Times keep their precision (float16 in SHD), and are sorted within every sample.
    """
    times, units = dataset(file, "spikes/times", "vlen f"), dataset(file, "spikes/units", "vlen iu")
    num_samples = len(dataset(file, "labels", "iu"))
    for lists in (times, units):
        _check_length(lists, num_samples)
    room = _most_spikes(times, units)
    for first in range(0, num_samples, SAMPLES_AT_ONCE):
        part = slice(first, first + SAMPLES_AT_ONCE)
        chunk = _checked(file.filename, first, entries(times, part), entries(units, part), num_units)
        room -= len(chunk[0])
        if room < 0:
            raise InputError(
                f"{file.filename}: `spikes/times` must not have more spikes than the file has bytes for,"
                f" got {-room:,} too many by sample {first + len(chunk[2]) - 1}; lists must not share data."
            )
        yield chunk


def _most_spikes(times: h5py.Dataset, units: h5py.Dataset) -> int:
    """Lists lie in the file as they are, so that it has the bytes of a time and a unit for every spike.

    A file that repeats one list a million times over breaks this.
    """
    bytes_a_spike = sum(h5py.check_vlen_dtype(lists.dtype).itemsize for lists in (times, units))
    return int(stored_bytes(Path(times.file.filename)) // bytes_a_spike)


def _check_length(found: h5py.Dataset, num_samples: int) -> None:
    if len(found) != num_samples:
        name = found.name.removeprefix("/")
        raise InputError(
            f"{found.file.filename}: `{name}` must have one entry a label ({num_samples}), got {len(found)}."
        )


def _checked(
    path: str, first: int, time_lists: NDArray[Any], unit_lists: NDArray[Any], num_units: int
) -> Chunk:
    lengths = np.array([len(times) for times in time_lists])
    for index, units_here in enumerate(unit_lists):
        if len(units_here) != lengths[index]:
            raise InputError(
                f"{path}: `spikes/units` of sample {first + index} must have one entry a spike time"
                f" ({lengths[index]}), got {len(units_here)}."
            )
    times: NDArray[Any] = np.concatenate(list(time_lists))
    units: NDArray[Any] = np.concatenate(list(unit_lists))
    sample = np.repeat(first + np.arange(len(lengths)), lengths)
    _check_range(f"{path}: `spikes/times`", times, sample, times <= MAX_SECONDS, f"0 to {MAX_SECONDS:g} s")
    _check_range(f"{path}: `spikes/units`", units, sample, units < num_units, f"0 to {num_units - 1}")
    np.abs(times, out=times)  # -0.0, which is in range, is 0.0
    times = times.astype({2: np.float16, 4: np.float32}.get(times.itemsize, np.float64), copy=False)
    if not _ascending(times, sample):
        order = np.lexsort((times, sample))  # stable
        times, units = times[order], units[order]
    return times, units.astype(np.uint16), lengths


def _check_range(
    where: str, values: NDArray[np.number], sample: Ints, low_enough: NDArray[np.bool_], rule: str
) -> None:
    wrong = ~(low_enough & (values >= 0))  # also where a time is not a number
    if wrong.any():
        spike = int(wrong.argmax())
        raise InputError(f"{where} of sample {sample[spike]} must be {rule}, got {values[spike]}.")


def _ascending(times: NDArray[np.floating], sample: Ints) -> bool:
    return not np.any((times[1:] < times[:-1]) & (sample[1:] == sample[:-1]))
