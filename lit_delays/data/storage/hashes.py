"""SHA-256 of data files, computed once for every version of a file."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from lit_delays.atomic_files import write_atomic
from lit_delays.data.storage.cache import default_cache_dir
from lit_delays.errors import InputError


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, kept beside the packed files for as long as the file does not change.

    Large files take seconds (a gigabyte about two), so that not every run should compute it again.
    """
    status = path.stat()
    version = [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino]
    address = hashlib.sha256(json.dumps(version).encode()).hexdigest()
    kept = default_cache_dir() / f"{path.stem}-{address[:16]}.sha256"
    with suppress(OSError, ValueError):
        digest = kept.read_text()
        if len(bytes.fromhex(digest)) == hashlib.sha256().digest_size:
            return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if os.access(kept.parent, os.W_OK):
        with suppress(InputError):  # it is only quicker next time
            write_atomic(kept, digest)
    return digest
