"""Files that are there as a whole, or not at all, whatever happens while they are written."""

import os
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
    except OSError as error:
        kept = "; the one before is still there" if path.exists() else ""
        raise InputError(
            f"cannot write {path}: {error.strerror}{kept}. Make room for it, and repeat the command to go on."
        ) from error
    finally:
        with suppress(OSError):  # it is gone where all went well
            partial.unlink()


@contextmanager
def apart(path: Path) -> Iterator[Path]:
    """The same for a file that several processes may write at once, or a new folder: each has its own place.

    Raises:
        OSError: If there is no room or no permission; nothing has changed.
    """
    with TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder:
        place = Path(folder) / path.name
        yield place
        os.replace(place, path)


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole: always the same place, so that crashes pile up nothing."""
    return path.with_name(f"{path.name}.part")


def sweep_parts(folder: Path) -> None:
    """Delete what writers that were killed have left in this folder and below."""
    for path in folder.rglob("*.part"):
        path.unlink(missing_ok=True)
