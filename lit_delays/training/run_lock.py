"""One process, or one group of them, makes a run at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lit_delays.errors import InputError

FILE_NAME = ".lock"
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")


def is_first_process() -> bool:
    """Whether this is the first, or only, process of a run; whoever starts several tells them."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


@contextmanager
def only_maker(run_dir: Path) -> Iterator[None]:
    """Hold the folder of a run; an empty one that was made for that is removed at the end.

    The kernel takes the lock from a process that dies, however it dies. Where a file system has no locks,
    there is none.

    Raises:
        InputError: If another process holds it, on this machine or on one that shares the folder.
    """
    made = [folder for folder in (run_dir, *run_dir.parents) if not folder.exists()]
    lock = FileLock(run_dir / FILE_NAME, fallback_to_soft=False)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(
            f"another process makes the run in {run_dir}; wait until it has ended, or give another --name."
        ) from error
    except OSError:  # no locks, or no permission, which whoever writes will say
        pass
    try:
        yield
    finally:
        with suppress(OSError):
            (run_dir / FILE_NAME).unlink(missing_ok=True)  # while it is locked, so that it is nobody else's
        lock.release()
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
