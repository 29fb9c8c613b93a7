"""SHA-256 of data files, computed once for every version of a file."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from lit_delays.atomic_files import write_atomic
from lit_delays.data.storage.cache import default_cache_dir
from lit_delays.errors import InputError

DIGITS = 64  # of a SHA-256


def version_of(path: Path) -> list[int]:
    """Numbers of a file that change with its content.

    Its date alone can be set back; when its entry on the disk last changed cannot.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, kept beside the packed files for as long as the file does not change.

    Large files take seconds (a gigabyte about two), so that not every run should compute it again.
    """
    address = hashlib.sha256(json.dumps([str(path.resolve()), *version_of(path)]).encode()).hexdigest()
    kept = default_cache_dir() / f"{path.stem}-{address[:16]}.sha256"
    with suppress(OSError, ValueError):
        if kept.is_file() and kept.stat().st_size == DIGITS:
            return bytes.fromhex(kept.read_text()).hex()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if os.access(kept.parent, os.W_OK):
        with suppress(InputError):  # it is only quicker next time
            write_atomic(kept, digest)
    return digest
