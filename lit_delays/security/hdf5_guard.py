"""Untrusted HDF5 files: what is opened, and what is refused before a byte of it is read.

A file may point to other files of this machine, name code to load, or promise more data than memory holds.
What a file can still do to HDF5 itself, `subprocess_reader.py` keeps from the trainer.
"""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lit_delays.errors import InputError
from lit_delays.security.stored_bytes import refuse_holes

MAX_SAMPLES = 10_000_000  # a hundred times SSC
MAX_CHUNK_BYTES = 2**26  # what one piece of a file unpacks to; HDF5's own choice is below 2**20
MAX_TEXT_BYTES = 1024
KINDS = {"vlen f": "lists of floats", "vlen iu": "lists of integers", "iu": "integers", "SO": "texts"}
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # by HDF5's number; none loads a plugin


def open_hdf5(path: Path) -> h5py.File:
    """Open a file for reading, without the locks that network drives lack.

    Raises:
        InputError: If it is not there, not HDF5, or mostly holes.
    """
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    refuse_holes(path)
    try:
        return h5py.File(path, "r", locking=False, rdcc_nbytes=MAX_CHUNK_BYTES)  # no chunk is unpacked twice
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} must be a whole HDF5 file; HDF5 says: {error}") from error


def dataset(file: h5py.File, name: str, kinds: str, most: int = MAX_SAMPLES) -> h5py.Dataset:
    """A list inside a file, of the right kind, whose data are in the file itself.

    Args:
        file: The open file.
        name: Path inside the file.
        kinds: What it must hold: NumPy's letters, a key of ``KINDS``.
        most: Number of entries allowed.

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
    if len(found) > most:
        raise InputError(f"{where} must have at most {most:,} entries, got {len(found):,}.")
    _check_kind(found, kinds, where)
    _check_storage(found, where)
    return found


def optional_dataset(file: h5py.File, name: str, kinds: str, most: int = MAX_SAMPLES) -> h5py.Dataset | None:
    """Like ``dataset``, but None where it is missing."""
    return None if _follow(file, name) is None else dataset(file, name, kinds, most)


def _follow(file: h5py.File, name: str) -> h5py.Dataset | None:
    """The data set at the end of hard links; None where there is none.

    Looks at links without following them: to ask h5py whether a name is in a group opens what it points to.
    """
    place: h5py.Group | h5py.Dataset = file
    for part in name.split("/"):
        if not (isinstance(place, h5py.Group) and place.id.links.exists(part.encode())):
            return None
        if place.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
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


def _check_kind(found: h5py.Dataset, kinds: str, where: str) -> None:
    dtype = found.dtype
    inner = h5py.check_vlen_dtype(dtype)
    is_vlen = isinstance(inner, np.dtype)
    kind = inner.kind if isinstance(inner, np.dtype) else dtype.kind
    if is_vlen != kinds.startswith("vlen ") or kind not in kinds.removeprefix("vlen "):
        got = f"lists of {inner}" if is_vlen else str(dtype)
        raise InputError(f"{where} must hold {KINDS[kinds]}, got {got}.")
    if isinstance(inner, np.dtype) and not inner.isnative:  # h5py (3.16) hands its bytes over unswapped
        order = "big" if sys.byteorder == "little" else "little"
        raise InputError(
            f"{where} must hold {KINDS[kinds]} in {sys.byteorder}-endian byte order, got {order}-endian"
            f" {inner.str}; write them as h5py.vlen_dtype({inner.newbyteorder('=').str!r})."
        )
    if kind == "O" and h5py.check_string_dtype(dtype) is None:
        raise InputError(f"{where} must hold {KINDS[kinds]}, got references.")
    if kind == "S" and dtype.itemsize > MAX_TEXT_BYTES:
        raise InputError(
            f"{where} must hold texts of at most {MAX_TEXT_BYTES} bytes, got {dtype.itemsize:,}."
        )


def _check_storage(found: h5py.Dataset, where: str) -> None:
    """A few bytes can promise a large chunk, or entries that nobody wrote."""
    size = found.id.get_type().get_size() * int(np.prod(found.chunks or (1,), dtype=object))
    if size > MAX_CHUNK_BYTES:
        raise InputError(
            f"{where} must be stored in chunks of at most {MAX_CHUNK_BYTES:,} bytes, got {size:,}; repack it."
        )
    if len(found) and not found.id.get_storage_size():
        raise InputError(
            f"{where} must be written, got {len(found):,} entries without data; get the file anew."
        )


def entries(found: h5py.Dataset, part: slice = slice(None)) -> NDArray[Any]:
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
