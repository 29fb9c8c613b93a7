"""Archives: the members that we know, up to a size.

Where a member goes is never the archive's to say, nor is what it becomes: plain files, no links, no devices.
`tarfile` and its filter "data" keep members inside the folder; which members, how many and how large they are
is looked at here, as neither `tarfile` nor `zipfile` has limits.
"""

import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from lit_delays.errors import InputError

PIECE = 2**18  # bytes
MAX_FILES = 200_000
# the word's folder and the recording, the list of a split, or a text
MEMBER = re.compile(r"(?:\./)?((?:_?[a-z]+(?:_[a-z]+)*_?/)?[A-Za-z0-9_]+\.(?:wav|txt|md)|LICENSE)")
DAMAGES = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)

Report = Callable[[int], None]


def unpack(archive: Path, name: str, target: Path, max_bytes: int, report: Report) -> None:
    """Write what an archive holds: the file of a ``.zip``, the folder of a ``.tar.gz``.

    Args:
        archive: A file.
        name: Its real name, which says what it is.
        target: Where the file or folder goes; of a zip file, the member of this name.
        max_bytes: Most bytes to write.
        report: Told how many bytes are written.

    Raises:
        InputError: If it is damaged, lacks what it should hold, or holds more than it may.
    """
    try:
        unpack_kind = _unzip if name.endswith(".zip") else _untar
        num_files = unpack_kind(archive, name, target, max_bytes, report)
    except DAMAGES as error:
        raise InputError(f"{name} is damaged ({error}); fetch it anew.") from error
    if not num_files:
        raise InputError(f"{name} does not hold {target.name}; it is not the archive that it should be.")


def _unzip(archive: Path, name: str, target: Path, max_bytes: int, report: Report) -> int:
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            path = PurePosixPath(member.filename)
            if path.name == target.name and "__MACOSX" not in path.parts:
                _check_size(name, member.file_size, max_bytes)  # zipfile reads no more than this
                with content.open(member) as source, target.open("xb") as file:
                    while piece := source.read(PIECE):
                        file.write(piece)
                        report(file.tell())
                return 1
    return 0


def _untar(archive: Path, name: str, target: Path, max_bytes: int, report: Report) -> int:
    target.mkdir()
    num_files = num_bytes = 0
    with tarfile.open(archive, "r:gz") as content:
        while (member := content.next()) is not None:
            content.members.clear()  # type: ignore[attr-defined]  # else all 100,000 are kept
            if MEMBER.fullmatch(member.name) and member.isreg():
                num_files, num_bytes = num_files + 1, num_bytes + member.size
                _check_size(name, num_bytes if num_files <= MAX_FILES else max_bytes + 1, max_bytes)
                content.extract(member, target, set_attrs=False, filter="data")
                report(num_bytes)
    return num_files


def _check_size(name: str, num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise InputError(f"{name} unpacks to more than {max_bytes:,} bytes; refused.")
