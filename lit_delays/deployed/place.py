"""Where an export goes: a new place, filled in one step or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lit_delays.errors import InputError


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
        with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            whole = Path(folder) / path.name
            yield whole
            os.replace(whole, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; give another --output.") from error
