"""Arrays in one file that is mapped into memory: as fast as the disk, shared by all processes.

The file is written beside its place and moved there in one step, so nobody ever sees half of it, and of two
processes that write at once the later one wins with the same content. Whatever does not check out when it
is opened is not trusted.

Layout: a magic line, the length and the checksum of the header, the header (JSON: what the arrays are
about, each one's type, length, place and checksums, and the date that the file wears), the arrays.
"""

import json
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lit_delays.atomic_files import atomic_path
from lit_delays.security.stored_bytes import refuse_holes

Arrays = dict[str, NDArray[Any]]
Entry = tuple[str, int, int, int, int]  # type, length, start in bytes, checksums of a sample and of all

MAGIC = b"lit_delays arrays\n"
MAX_HEADER = 2**20  # bytes
ALIGNMENT = 64  # bytes; a cache line
WHOLE = 2**26  # bytes; arrays up to this are always checked as a whole
BLOCK = 2**14  # bytes
NUM_BLOCKS = 64
EARLIER = 60  # s; a file wears a date before its making, which whoever writes to it later changes


def save(path: Path, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """Write one-dimensional arrays, replacing what was there, be it a link.

    Args:
        path: The file.
        arrays: One-dimensional arrays by name.
        about: What they are: anything JSON can hold. ``load`` compares it.
    """
    entries: dict[str, Entry] = {}
    start = 0
    for name, array in arrays.items():
        start = _aligned(start)
        entries[name] = (array.dtype.str, len(array), start, _sampled_checksum(array), _checksum(array))
        start += array.nbytes
    date = int(time.time()) - EARLIER
    header = json.dumps({"about": about, "arrays": entries, "date": date}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as place:
        with place.open("wb") as file:
            file.write(MAGIC + _number(len(header)) + _number(zlib.crc32(header)) + header)
            origin = _aligned(file.tell())
            for (_, _, start, _, _), array in zip(entries.values(), arrays.values(), strict=True):
                file.seek(origin + start)
                array.tofile(file)
            file.truncate(max(file.tell(), origin))
        os.utime(place, (date, date))


def load(path: Path, about: dict[str, Any]) -> Arrays | None:
    """Map the arrays of a file into memory, read-only.

    Of a file that nobody wrote to since it was saved, by its date, arrays above 64 MB are checked in 64
    blocks, so that the largest data set opens within a second; any other file is checked as a whole.

    Returns:
        The arrays; None if there are none, if they are about something else, or if they are damaged.
    """
    try:
        if path.is_symlink() or not path.is_file():  # to open a pipe waits for ever
            return None
        refuse_holes(path)
        with path.open("rb") as file:
            header = _read_header(file)
            origin = _aligned(file.tell())
            untouched = os.fstat(file.fileno()).st_mtime_ns == header["date"] * 10**9
            content = np.asarray(np.memmap(file, np.uint8, mode="r"))
        if header["about"] != about:
            return None
        return {name: _view(content[origin:], untouched, *entry) for name, entry in header["arrays"].items()}
    except Exception:  # whatever it is, there is no good cache, and the file is packed anew
        return None


def _read_header(file: BinaryIO) -> dict[str, Any]:
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("this is not a cache")
    length, checksum = (int.from_bytes(file.read(8), "little") for _ in range(2))
    text = file.read(min(length, MAX_HEADER))
    if zlib.crc32(text) != checksum:
        raise ValueError("the header is damaged")
    header: dict[str, Any] = json.loads(text)
    return header


def _view(
    content: NDArray[np.uint8], untouched: bool, dtype: str, length: int, start: int, *checksums: int
) -> NDArray[Any]:
    array = content[start : start + length * np.dtype(dtype).itemsize].view(dtype)
    found = _sampled_checksum(array) if untouched else _checksum(array)
    if len(array) != length or found != checksums[0 if untouched else 1]:
        raise ValueError("the arrays are damaged")
    return array


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(array.view(np.uint8).data)


def _sampled_checksum(array: NDArray[Any]) -> int:
    """Of a large array, the checksum of blocks spread over it."""
    content = array.view(np.uint8).data
    if len(content) <= WHOLE:
        return zlib.crc32(content)
    checksum = 0
    for start in np.linspace(0, len(content) - BLOCK, NUM_BLOCKS, dtype=np.int64):
        checksum = zlib.crc32(content[start : start + BLOCK], checksum)
    return checksum


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
