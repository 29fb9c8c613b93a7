"""Files that are there as a whole, or not at all, whatever happens while they are written."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lit_delays.errors import InputError

ENDING = ".part"  # of a temporary folder: `.NAME.RANDOM.part`


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace a file: whoever reads it, be it after a crash, meets the old content or the new.

    Raises:
        InputError: If there is no room or no permission; the old content is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        kept = "; the one before is still there" if path.exists() else ""
        raise InputError(
            f"cannot write {path}: {error.strerror or error}{kept}. Make room for it, and repeat the command"
            " to go on."
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Where to write a file, or a new folder, that then takes its name in one step.

    Every writer has a place of its own, so several may write the same file at once; the last one stays.

    Raises:
        OSError: If there is no room or no permission; nothing has changed.
    """
    with temporary_folder_beside(path) as folder:
        temporary = Path(folder, path.name)
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # before it takes the name, or a power cut could leave it empty
        os.replace(temporary, path)


def temporary_folder_beside(path: Path) -> TemporaryDirectory[str]:
    """A new folder beside a file, on the same disk, for what the file is made of."""
    return TemporaryDirectory(prefix=f".{path.name}.", suffix=ENDING, dir=path.parent)


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Delete what writers who were killed have left; nobody may be writing there.

    Args:
        folder: Where they wrote.
        name: Of the one file there whose leftovers are meant; by default all, in the folders below too.
    """
    found = folder.glob(f".{glob.escape(name)}.*{ENDING}") if name else folder.rglob(f".*{ENDING}")
    for left in list(found):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
