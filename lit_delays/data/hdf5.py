"""HDF5 files that strangers made: what is opened, and what is refused before a byte of it is read.

A file may point to other files of this machine, name code to load, or promise more data than memory holds.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lit_delays.errors import InputError

MAX_SAMPLES = 10_000_000
KINDS = {"vlen f": "lists of floats", "vlen iu": "lists of integers", "iu": "integers", "SO": "texts"}
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # by HDF5's number; none loads a plugin


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, without the locks that network drives lack.

    Raises:
        InputError: If it is not there, or not HDF5.
    """
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(f"{path} must be a whole HDF5 file; HDF5 says: {error}") from error


def dataset(file: h5py.File, name: str, kinds: str) -> h5py.Dataset:
    """A list inside a file, of the right kind, whose data are in the file itself.

    Args:
        file: The open file.
        name: Path inside the file.
        kinds: What it must hold: NumPy's letters, a key of ``KINDS``.

    Raises:
        InputError: If it is missing or not as it must be.
    """
    where = f"{file.filename}: `{name}`"
    found = _follow(file, name)
    if found is None:
        raise InputError(f"{where} is missing; the file must follow SHD's layout.")
    _refuse_foreign_data(found, where)
    if found.ndim != 1:
        raise InputError(f"{where} must have one dimension, got {found.ndim}.")
    if len(found) > MAX_SAMPLES:
        raise InputError(f"{where} must have at most {MAX_SAMPLES:,} entries, got {len(found):,}.")
    _check_kind(found.dtype, kinds, where)
    return found


def optional_dataset(file: h5py.File, name: str, kinds: str) -> h5py.Dataset | None:
    """Like ``dataset``, but None where it is missing."""
    return None if _follow(file, name) is None else dataset(file, name, kinds)


def _follow(file: h5py.File, name: str) -> h5py.Dataset | None:
    """The data set at the end of hard links; None where there is none."""
    place: h5py.Group | h5py.Dataset = file
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{file.filename}: `{name}` must not be a link to another place; store the data there."
            )
        place = place[part]
    return place if isinstance(place, h5py.Dataset) else None


def _refuse_foreign_data(found: h5py.Dataset, where: str) -> None:
    if found.is_virtual or found.external:
        raise InputError(f"{where} must hold its data itself, not point to another file; copy the data.")
    properties = found.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        number = properties.get_filter(index)[0]
        if number not in FILTERS:
            names = ", ".join(FILTERS.values())
            raise InputError(f"{where} must use no filters but {names}, got HDF5 filter {number}; repack it.")


def _check_kind(dtype: np.dtype[np.generic], kinds: str, where: str) -> None:
    entries = h5py.check_vlen_dtype(dtype)
    is_vlen = isinstance(entries, np.dtype)
    kind = entries.kind if isinstance(entries, np.dtype) else dtype.kind
    if is_vlen != kinds.startswith("vlen ") or kind not in kinds.removeprefix("vlen "):
        got = f"lists of {entries}" if is_vlen else str(dtype)
        raise InputError(f"{where} must hold {KINDS[kinds]}, got {got}.")


def read(found: h5py.Dataset, part: slice = slice(None)) -> NDArray[Any]:
    """Entries of a data set.

    Raises:
        InputError: If the file is damaged there.
    """
    try:
        return np.asarray(found[part])
    except (OSError, RuntimeError) as error:
        name = found.name.removeprefix("/")
        where = f"{found.file.filename}: `{name}`"
        raise InputError(f"{where} cannot be read; get the file anew. HDF5 says: {error}") from error
