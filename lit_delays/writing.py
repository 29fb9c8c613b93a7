"""Files that are there as a whole, or not at all, whatever happens while they are written."""

import os
from contextlib import suppress
from pathlib import Path

from lit_delays.errors import InputError


def write_whole(path: Path, content: bytes | str) -> None:
    """Replace a file: whoever reads it, be it after a crash, meets the old content or the new.

    Raises:
        InputError: If there is no room or no permission; the old content is still there.
    """
    partial = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # before the name changes hands, or a power cut could leave it empty
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        kept = "; the one before is still there" if path.exists() else ""
        raise InputError(
            f"cannot write {path}: {error.strerror}{kept}. Make room for it, and repeat the command to go on."
        ) from error


def part_of(path: Path) -> Path:
    """Where a file is written before it is whole: always the same place, so that crashes pile up nothing."""
    return path.with_name(f"{path.name}.part")


def sweep_parts(folder: Path) -> None:
    """Delete what writers that were killed have left in this folder and below."""
    for path in folder.rglob("*.part"):
        path.unlink(missing_ok=True)
