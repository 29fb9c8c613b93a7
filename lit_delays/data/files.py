"""Spike files, checked and packed once into a cache that opens within a second and feeds any GPU."""

import glob
import hashlib
import os
import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lit_delays.data import cache
from lit_delays.data.apart import read_apart
from lit_delays.data.arrays import SpikeArrays, fit_together
from lit_delays.data.lock import locked
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
    arrays = _load(packed, about) or _pack(path, packed, about)
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


def default_cache_dir() -> Path:
    """``$LIT_DELAYS_CACHE``, else ``lit_delays`` in ``$XDG_CACHE_HOME``, which is ``~/.cache`` by default."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("LIT_DELAYS_CACHE") or caches / "lit_delays").expanduser()


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


def _pack(path: Path, packed: Path, about: dict[str, Any]) -> cache.Arrays:
    try:
        with locked(packed.with_suffix(".lock"), f"packing {path.name}") as alone:
            if (arrays := _load(packed, about)) is not None:
                return arrays  # whoever we waited for has made it
            if alone:
                _sweep(packed)
            with TemporaryDirectory(prefix=packed.name + ".", dir=packed.parent) as folder:
                cache.save(packed, read_apart(path, about["num_units"], Path(folder)), about)
    except OSError as error:
        raise InputError(
            f"cannot write the cache into {packed.parent}: {error.strerror or error};"
            " make room, or give another $LIT_DELAYS_CACHE."
        ) from error
    if (arrays := _load(packed, about)) is None:
        raise InputError(f"{packed} cannot be read back; check the disk, or give another $LIT_DELAYS_CACHE.")
    return arrays


def _sweep(packed: Path) -> None:
    """Remove what a packer that was killed left behind."""
    for folder in packed.parent.glob(glob.escape(packed.name) + ".*"):
        shutil.rmtree(folder, ignore_errors=True)


def _load(packed: Path, about: dict[str, Any]) -> cache.Arrays | None:
    """The arrays of a cache if they fit each other."""
    arrays = cache.load(packed, about)
    if arrays is None or not fit_together(arrays):
        return None
    return arrays
