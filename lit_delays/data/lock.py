"""One process at a time, on one machine or on all that share a file system with locks.

Nothing but doubled work is at stake: whoever writes does so beside the place and moves it there in one step.
So where a file system has no locks, all go on side by side.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, work: str) -> Iterator[bool]:
    """Wait until no other process is inside, and hold the place until the end of the block.

    The kernel takes the lock from a process that dies, however it dies.

    Args:
        path: A file to lock, made and removed here.
        work: What is done inside, for whoever has to wait: ``packing digits.h5``.

    Yields:
        Whether there is a lock: what lies about from earlier tries is then nobody's.
    """
    file = _acquire(path, work)
    try:
        yield file is not None
    finally:
        if file is not None:
            path.unlink(missing_ok=True)
            os.close(file)


def _acquire(path: Path, work: str) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            _wait(file, work)
        except OSError:  # no locks here
            os.close(file)
            path.unlink(missing_ok=True)
            return None
        except BaseException:  # Ctrl-C while waiting
            os.close(file)
            raise
        if _is_still(path, file):
            return file
        os.close(file)  # the one before us removed it


def _wait(file: int, work: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another process is {work}; waiting for it", file=sys.stderr)
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(file))
    except FileNotFoundError:
        return False
