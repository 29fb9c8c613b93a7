"""Spike files, checked and packed once into a cache that opens within a second and feeds any GPU."""

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.data.class_names import check_class_names
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.data.storage.cache import default_cache_dir, packed_once
from lit_delays.data.storage.hashes import version_of
from lit_delays.data.storage.shd_layout import MAX_CLASSES, MAX_SECONDS, UNKNOWN
from lit_delays.errors import InputError
from lit_delays.security.subprocess_reader import read_in_subprocess

VERSION = 4  # of what is packed; a cache of another version is made anew
READER = "lit_delays.data.storage.shd_layout:read"
AT_ONCE = 2**20  # spikes, compared while they are in the processor's cache
TYPES: dict[str, tuple[type[np.generic], ...]] = {  # of the arrays as they are stored
    "indptr": (np.int64,),
    "times": (np.float16, np.float32, np.float64),
    "units": (np.uint16,),
    "labels": (np.int64,),
    "speakers": (np.int64,),  # optional
    "class_names": (np.uint8,),  # UTF-8, with a zero byte between names
}


def open_spikes(path: Path, num_units: int = 700, cache_dir: Path | None = None) -> SpikeArrays:
    """The samples of a file, mapped from its cache; packs the file where there is no good cache of it.

    Processes that want the same file at once pack it once: the others wait.

    Args:
        path: HDF5 file in SHD's layout. Its times are kept in the type that they have there.
        num_units: Number of input channels.
        cache_dir: Folder of the caches; ``default_cache_dir()`` for None.

    Raises:
        InputError: If the file is missing or breaks a rule of the layout, or there is no room for the cache.
    """
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    fits = partial(fit_together, num_units=num_units)
    arrays = packed_once(
        _packed_path(path, cache_dir),
        _identity(path, num_units),
        f"packing {path.name}",
        lambda folder: read_in_subprocess(READER, path, {"num_units": num_units}, folder, fits),
        fits,
    )
    return SpikeArrays(
        indptr=arrays["indptr"],
        times=arrays["times"],
        units=arrays["units"],
        labels=arrays["labels"],
        speakers=arrays.get("speakers"),
        class_names=_names(arrays["class_names"]),
        reopen=partial(open_spikes, path, num_units, cache_dir),
    )


def fit_together(arrays: Mapping[str, NDArray[Any]], num_units: int) -> bool:
    """Whether stored arrays, by name, are spike trains: all there, of their types, of lengths that agree,
    and as the layout has them, whoever wrote them.
    """  # noqa: D205
    if not TYPES.keys() - {"speakers"} <= arrays.keys() <= TYPES.keys():
        return False
    if any(array.dtype not in TYPES[name] for name, array in arrays.items()):
        return False
    indptr, num_samples = arrays["indptr"], len(arrays["labels"])
    return (
        len(indptr) == num_samples + 1 > 1
        and indptr[0] == 0
        and bool(np.all(np.diff(indptr) >= 0))
        and indptr[-1] == len(arrays["times"]) == len(arrays["units"])
        and len(arrays.get("speakers", arrays["labels"])) == num_samples
        and int(arrays["units"].max(initial=0)) < num_units
        and _are_times(arrays["times"], indptr)
        and _are_classes(arrays["labels"], arrays["class_names"])
    )


def _are_times(times: NDArray[np.floating], indptr: NDArray[np.int64]) -> bool:
    """From 0 to the longest, ascending within a sample.

    Floats that are not negative are in the order of their bits, which are quicker to compare; those of
    what is negative, infinite or no number are larger.
    """
    bits = times.view(f"u{times.itemsize}")
    starts_sample = np.zeros(len(times) + 1, bool)
    starts_sample[indptr] = True
    most = times.dtype.type(MAX_SECONDS).view(bits.dtype)
    for first in range(0, len(bits), AT_ONCE):
        part = bits[first : first + AT_ONCE + 1]
        descends = part[1:] < part[:-1]
        if part.max() > most or (descends & ~starts_sample[first + 1 : first + len(part)]).any():
            return False
    return True


def _are_classes(labels: NDArray[np.int64], stored_names: NDArray[np.uint8]) -> bool:
    try:
        names = _names(stored_names)
        check_class_names(names, "names")
    except (UnicodeDecodeError, InputError):
        return False
    return bool(labels.min() >= UNKNOWN and labels.max() < (len(names) or MAX_CLASSES))


def _names(stored: NDArray[np.uint8]) -> tuple[str, ...]:
    names = stored.tobytes().decode()
    return tuple(names.split("\0")) if names else ()


def _packed_path(path: Path, cache_dir: Path | None) -> Path:
    address = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return (cache_dir or default_cache_dir()) / f"{path.stem}-{address}.spikes"


def _identity(path: Path, num_units: int) -> dict[str, Any]:
    """What a cache must be about to be of use: this file, unchanged, checked by these rules."""
    return {"version": VERSION, "file": version_of(path), "num_units": num_units}
