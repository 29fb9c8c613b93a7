"""Files that are there as a whole, or not at all, whatever happens while they are written."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lit_delays.errors import InputError


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file: whoever reads it, be it after a crash, meets the old content or the new.

    Raises:
        InputError: If there is no room or no permission; the old content is still there.
    """
    with whole(path) as place:
        place.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write what then replaces a file, for writers that need a path; one process at a time.

    Raises:
        InputError: If there is no room or no permission; the old content is still there.
    """
    partial = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # before the name changes hands, or a power cut could leave it empty
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if not isinstance(error, OSError):
            raise
        kept = "; the one before is still there" if path.exists() else ""
        raise InputError(
            f"cannot write {path}: {error.strerror or error}{kept}. Make room for it, and repeat the command"
            " to go on."
        ) from error


@contextmanager
def apart(path: Path) -> Iterator[Path]:
    """The same for a file that several processes may write at once, or a new folder: each has its own place.

    Raises:
        OSError: If there is no room or no permission; nothing has changed.
    """
    with beside(path) as folder:
        place = Path(folder) / path.name
        yield place
        os.replace(place, path)


def beside(path: Path) -> TemporaryDirectory[str]:
    """A new folder beside a file, for what it is made of."""
    return TemporaryDirectory(prefix=_prefix(path), dir=path.parent)


def sweep_beside(path: Path) -> None:
    """Delete the folders that writers of this file who were killed have left; nobody may be writing it."""
    for folder in path.parent.glob(glob.escape(_prefix(path)) + "*"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole: always the same place, so that crashes pile up nothing."""
    return path.with_name(f"{path.name}.part")


def sweep_parts(folder: Path) -> None:
    """Delete what writers that were killed have left in this folder and below."""
    for path in folder.rglob("*.part"):
        path.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name}."
