"""Where an export goes: a new file or folder, there in one step or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_delays.atomic_files import atomic_path
from lit_delays.errors import InputError


@contextmanager
def new_output(path: Path) -> Iterator[Path]:
    """A temporary path to write a file or make a folder at, which takes its name when all went well.

    Args:
        path: Its name; nothing may be there yet.

    Raises:
        InputError: If something is there, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} exists; remove it, or give another --output.")
    try:
        with atomic_path(path) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; give another --output.") from error
