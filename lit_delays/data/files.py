"""Spike files, checked and packed once into a cache that opens within a second and feeds any GPU."""

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import Any

from lit_delays.data.apart import read_apart
from lit_delays.data.arrays import SpikeArrays, fit_together
from lit_delays.data.packing import default_cache_dir, packed_once
from lit_delays.errors import InputError

VERSION = 2  # of what is packed; a cache of another version is made anew


def open_spikes(path: Path, num_units: int = 700, cache_dir: Path | None = None) -> SpikeArrays:
    """The samples of a file, mapped from its cache; packs the file where there is no good cache of it.

    Processes that want the same file at once pack it once: the others wait.

    Args:
        path: HDF5 file in SHD's layout.
        num_units: Number of input channels.
        cache_dir: Folder of the caches; ``default_cache_dir()`` for None.

    Raises:
        InputError: If the file is missing or breaks a rule of the layout, or there is no room for the cache.
    """
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    packed, about = _packed_path(path, cache_dir), _identity(path, num_units)
    arrays = packed_once(
        packed, about, f"packing {path.name}", partial(read_apart, path, num_units), fit_together
    )
    names = arrays["class_names"].tobytes().decode()
    return SpikeArrays(
        indptr=arrays["indptr"],
        times=arrays["times"],
        units=arrays["units"],
        labels=arrays["labels"],
        speakers=arrays.get("speakers"),
        class_names=tuple(names.split("\0")) if names else (),
        reopen=partial(open_spikes, path, num_units, cache_dir),
    )


def _packed_path(path: Path, cache_dir: Path | None) -> Path:
    address = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
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
