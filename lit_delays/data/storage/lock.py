"""One process at a time, on one machine or on all that share a file system with locks.

Nothing but doubled work is at stake: whoever writes does so beside the place and moves it there in one step.
So where a file system has no locks, all go on side by side.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, work: str) -> Iterator[bool]:
    """Wait until no other process is inside, and hold the lock until the end of the block.

    The kernel takes the lock from a process that dies, however it dies.

    Args:
        path: A file to lock, made and removed here.
        work: What is done inside, for whoever has to wait: ``packing digits.h5``.

    Yields:
        Whether there is a lock: what lies about from earlier tries is then nobody's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)  # a soft lock would outlive a process that is killed
    with suppress(OSError):  # no locks here; or no permission, which whoever writes will say
        _acquire(lock, work)
    try:
        yield lock.is_locked
    finally:
        with suppress(OSError):  # Windows removes no file that is open
            path.unlink(missing_ok=True)  # while it is locked, so that it is nobody else's
        lock.release()


def _acquire(lock: FileLock, work: str) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"another process is {work}; waiting for it", file=sys.stderr)
        lock.acquire()
