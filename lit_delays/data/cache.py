"""Arrays in one file that is mapped into memory: as fast as the disk, shared by all processes.

The file is written beside its place and moved there in one step, so nobody ever sees half of it, and of two
processes that write at once the later one wins with the same content. Whatever does not check out when it
is opened is not trusted.

Layout: a magic line, the length of the header, the header (JSON: what the arrays are about, and each one's
type, length, place and fingerprint), the arrays.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Entry = tuple[str, int, int, int]  # type, length, start in bytes, fingerprint

MAGIC = b"lit_delays arrays\n"
ALIGNMENT = 64  # bytes; a cache line
WHOLE = 2**26  # bytes; arrays above this are fingerprinted by samples, to open within a second
BLOCK = 2**14  # bytes
NUM_BLOCKS = 64


def save(path: Path, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """Write one-dimensional arrays, replacing what was there.

    Args:
        path: The file.
        arrays: One-dimensional arrays by name.
        about: What they are: anything JSON can hold. ``load`` compares it.
    """
    entries: dict[str, Entry] = {}
    start = 0
    for name, array in arrays.items():
        start = _aligned(start)
        entries[name] = (array.dtype.str, len(array), start, _fingerprint(array))
        start += array.nbytes
    header = json.dumps({"about": about, "arrays": entries}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=path.name + ".", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        with whole.open("wb") as file:
            file.write(MAGIC + len(header).to_bytes(8, "little") + header)
            origin = _aligned(file.tell())
            for (_, _, start, _), array in zip(entries.values(), arrays.values(), strict=True):
                file.seek(origin + start)
                array.tofile(file)
            file.truncate(max(file.tell(), origin))
        os.replace(whole, path)


def load(path: Path, about: dict[str, Any]) -> Arrays | None:
    """Map the arrays of a file into memory, read-only.

    Arrays above 64 MB are checked in 64 blocks spread over them, the others as a whole: the largest data set
    opens within a second, and a file cut short or written over is noticed.

    Returns:
        The arrays; None if there are none, if they are about something else, or if they are damaged.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            origin = _aligned(file.tell())
        if header["about"] != about:
            return None
        content = np.asarray(np.memmap(path, np.uint8, mode="r"))
        return {name: _view(content, origin, *entry) for name, entry in header["arrays"].items()}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
        return None


def _view(content: NDArray[np.uint8], origin: int, dtype: str, length: int, start: int, mark: int) -> Any:
    start += origin
    array = content[start : start + length * np.dtype(dtype).itemsize].view(dtype)
    if len(array) != length or _fingerprint(array) != mark:
        raise ValueError("the arrays are damaged")
    return array


def _fingerprint(array: NDArray[Any]) -> int:
    content = array.view(np.uint8).data
    if len(content) <= WHOLE:
        return zlib.crc32(content)
    mark = 0
    for start in np.linspace(0, len(content) - BLOCK, NUM_BLOCKS, dtype=np.int64):
        mark = zlib.crc32(content[start : start + BLOCK], mark)
    return mark


def _aligned(place: int) -> int:
    return -(-place // ALIGNMENT) * ALIGNMENT
