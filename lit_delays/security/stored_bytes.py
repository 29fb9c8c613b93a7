"""How much of a file there is: its size may promise terabytes that nobody wrote."""

import errno
import os
from pathlib import Path

from lit_delays.errors import InputError


def stored_bytes(path: Path) -> int:
    """Bytes of a file without its holes, which take no room on the disk and read as zeros.

    Blocks on the disk would say it too, but not where a file system compresses.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not hasattr(os, "SEEK_HOLE"):  # Windows
            return size
        stored = end = 0
        try:
            while end < size:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
                end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
                stored += end - start
        except OSError as error:
            if error.errno != errno.ENXIO:  # which says that only a hole is left
                return size  # this file system knows no holes
        return stored


def refuse_holes(path: Path) -> None:
    """Refuse a file of which less than half is stored: reading all of it could take days.

    Raises:
        InputError: If it has more holes than content.
    """
    size, stored = path.stat().st_size, stored_bytes(path)
    if stored < size / 2:
        raise InputError(
            f"{path} must hold the {size:,} bytes of its size, got {stored:,} and holes; get the file anew."
        )
