"""Where an export goes: a new place, filled in one step or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_delays.errors import InputError
from lit_delays.writing import apart


@contextmanager
def new_place(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or make a folder, which takes its name when all went well.

    Args:
        path: Where it shall be in the end; nothing may be there yet.

    Raises:
        InputError: If something is there, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} exists; remove it, or give another --output.")
    try:
        with apart(path) as place:
            yield place
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; give another --output.") from error
