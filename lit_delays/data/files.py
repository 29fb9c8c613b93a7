"""Spike files, checked and packed once into a cache that opens within a second and feeds any GPU."""

import hashlib
import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray
from rich.console import Console
from rich.progress import track

from lit_delays.data import cache
from lit_delays.data.arrays import SpikeArrays
from lit_delays.data.hdf5 import open_hdf5
from lit_delays.data.shd_layout import (
    SAMPLES_AT_ONCE,
    read_class_names,
    read_labels,
    read_speakers,
    read_spikes,
)
from lit_delays.errors import InputError

VERSION = 1  # of what is packed; a cache of another version is made anew
SHOW_PROGRESS = 5000  # samples; packing fewer is over before a bar is read


def open_spikes(path: Path, num_units: int = 700, cache_dir: Path | None = None) -> SpikeArrays:
    """The samples of a file, mapped from its cache; packs the file where there is no good cache of it.

    Args:
        path: HDF5 file in SHD's layout.
        num_units: Number of input channels.
        cache_dir: Folder of the caches; ``default_cache_dir()`` for None.

    Raises:
        InputError: If the file is missing or breaks a rule of the layout.
    """
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    packed, about = _packed_path(path, cache_dir), _identity(path, num_units)
    arrays = cache.load(packed, about)
    if arrays is None:
        _pack(path, packed, about)
        arrays = cache.load(packed, about)
    if arrays is None:
        raise InputError(f"{packed} cannot be read back; check the disk, or give another $LIT_DELAYS_CACHE.")
    names = arrays.pop("class_names").tobytes().decode()
    return SpikeArrays(
        indptr=arrays["indptr"],
        times=arrays["times"],
        units=arrays["units"],
        labels=arrays["labels"],
        speakers=arrays.get("speakers"),
        class_names=tuple(names.split("\0")) if names else (),
        reopen=partial(open_spikes, path, num_units, cache_dir),
    )


def peek_class_names(path: Path) -> tuple[str, ...]:
    """Names of a file's classes, without its spikes; numbers up to the largest label where it names none.

    Raises:
        InputError: If the file is missing or breaks a rule of the layout.
    """
    with open_hdf5(path) as file:
        labels = read_labels(file)
        return read_class_names(file) or tuple(str(label) for label in range(int(labels.max()) + 1))


def default_cache_dir() -> Path:
    """``$LIT_DELAYS_CACHE``, else ``lit_delays`` in ``$XDG_CACHE_HOME``, which is ``~/.cache`` by default."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("LIT_DELAYS_CACHE") or caches / "lit_delays").expanduser()


def _packed_path(path: Path, cache_dir: Path | None) -> Path:
    address = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return (cache_dir or default_cache_dir()) / f"{path.stem}-{address}.spikes"


def _identity(path: Path, num_units: int) -> dict[str, Any]:
    """What a cache must be about to be of use: this file, unchanged, checked by these rules."""
    status = path.stat()
    return {
        "version": VERSION,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "num_units": num_units,
    }


def _pack(path: Path, packed: Path, about: dict[str, Any]) -> None:
    packed.parent.mkdir(parents=True, exist_ok=True)
    with open_hdf5(path) as file, TemporaryDirectory(prefix=packed.name + ".", dir=packed.parent) as folder:
        arrays: cache.Arrays = {"labels": read_labels(file)}
        if (speakers := read_speakers(file)) is not None:
            arrays["speakers"] = speakers
        arrays["class_names"] = np.frombuffer("\0".join(read_class_names(file)).encode(), np.uint8)
        arrays |= _stream_spikes(file, Path(folder), about["num_units"], len(arrays["labels"]))
        cache.save(packed, arrays, about)


def _stream_spikes(file: h5py.File, folder: Path, num_units: int, num_samples: int) -> cache.Arrays:
    """Copy all spikes into a folder and map them, so that memory holds a few hundred samples at a time."""
    lengths = [np.zeros(1, np.int64)]
    chunks = track(
        read_spikes(file, num_units),
        description=f"packing {Path(file.filename).name}",
        total=-(-num_samples // SAMPLES_AT_ONCE),
        console=Console(file=sys.stderr),
        disable=num_samples < SHOW_PROGRESS,
        transient=True,
    )
    with (folder / "times").open("wb") as times_file, (folder / "units").open("wb") as units_file:
        for times, units, chunk_lengths in chunks:
            times.tofile(times_file)
            units.tofile(units_file)
            lengths.append(chunk_lengths)
    return {
        "indptr": np.cumsum(np.concatenate(lengths)),
        "times": _map(folder / "times", np.float16),
        "units": _map(folder / "units", np.uint16),
    }


def _map(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    """The file as an array; a map of nothing is not allowed."""
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.zeros(0, dtype)
