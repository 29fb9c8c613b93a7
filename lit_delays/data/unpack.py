"""Archives: the members that we know, under names of our own, up to a size.

Where a member goes is never the archive's to say, nor is what it becomes: plain files, no links, no devices.
"""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from lit_delays.errors import InputError

PIECE = 2**18  # bytes
MAX_FILES = 200_000
# the word's folder and the recording, the list of a split, or a text
MEMBER = re.compile(r"(?:\./)?((?:_?[a-z]+(?:_[a-z]+)*_?/)?[A-Za-z0-9_]+\.(?:wav|txt|md)|LICENSE)")
DAMAGES = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)

Watch = Callable[[int], None]


def unpack(archive: Path, name: str, target: Path, max_bytes: int, watch: Watch) -> None:
    """Write what an archive holds: the file of a ``.zip``, the folder of a ``.tar.gz``.

    Args:
        archive: A file.
        name: Its real name, which says what it is.
        target: Place of the file or folder; of a zip file, the member of this name.
        max_bytes: Most bytes to write.
        watch: Told how many bytes are written.

    Raises:
        InputError: If it is damaged, lacks what it should hold, or holds more than it may.
    """
    room = Room(name, max_bytes, watch)
    try:
        if name.endswith(".zip"):
            _unzip(archive, target, room)
        else:
            _untar(archive, target, room)
    except DAMAGES as error:
        raise InputError(f"{name} is damaged ({error}); fetch it anew.") from error
    if not room.files:
        raise InputError(f"{name} does not hold {target.name}; it is not the archive that it should be.")


class Room:
    """What may still be written."""

    def __init__(self, name: str, max_bytes: int, watch: Watch) -> None:
        self.name, self.max_bytes, self.watch = name, max_bytes, watch
        self.files = self.bytes = 0

    def copy(self, member: IO[bytes], path: Path) -> None:
        """Write a member, as far as there is room."""
        self.files += 1
        with path.open("xb") as file:
            while piece := member.read(PIECE):
                self.bytes += len(piece)
                if self.bytes > self.max_bytes or self.files > MAX_FILES:
                    raise InputError(f"{self.name} unpacks to more than {self.max_bytes:,} bytes; refused.")
                file.write(piece)
                self.watch(self.bytes)


def _unzip(archive: Path, target: Path, room: Room) -> None:
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            path = PurePosixPath(member.filename)
            if path.name == target.name and "__MACOSX" not in path.parts:
                with content.open(member) as file:
                    room.copy(file, target)
                return


def _untar(archive: Path, target: Path, room: Room) -> None:
    target.mkdir()
    with tarfile.open(archive, "r:gz") as content:
        while (member := content.next()) is not None:
            content.members.clear()  # type: ignore[attr-defined]  # else all 100,000 are kept
            matched = MEMBER.fullmatch(member.name)
            file = content.extractfile(member) if matched and member.isreg() else None
            if matched and file is not None:
                path = target / matched[1]
                path.parent.mkdir(exist_ok=True)
                room.copy(file, path)
