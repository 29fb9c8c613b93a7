"""Public data sets, from their servers to their place: downloaded, checked, unpacked, in one step each."""

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from lit_delays.data.download import download
from lit_delays.data.lock import locked
from lit_delays.data.partial import Partial
from lit_delays.data.receipts import look_at, read_receipt, write_receipt
from lit_delays.data.sources import Archive
from lit_delays.data.unpack import unpack
from lit_delays.errors import InputError
from lit_delays.writing import beside, sweep_beside


def fetch(archive: Archive, folder: Path, address: str) -> str:
    """Have what an archive holds in a folder; says what was done.

    What is there already is compared with the note made when it came, and left alone.

    Args:
        archive: What to fetch.
        folder: Where to.
        address: Of the archive's folder on the server.

    Raises:
        InputError: If it cannot be had, or what is there is not what came, or there is no room.
    """
    target = folder / archive.unpacked
    try:
        with locked(folder / f".{archive.unpacked}.lock", f"fetching {archive.unpacked}") as alone:
            if alone:
                sweep_beside(target)  # not the partial download
            if target.exists():
                return _compare(target)
            return _get(archive, target, address)
    except OSError as error:
        raise InputError(
            f"cannot write into {folder}: {error.strerror or error}; make room, or give another --data-dir."
        ) from error


def _get(archive: Archive, target: Path, address: str) -> str:
    partial = Partial(target.with_name(archive.name), archive.digest)
    with _bar() as bar, beside(target) as folder:
        task = bar.add_task(f"fetching {archive.name}", total=None)
        download(
            address + archive.name,
            partial,
            archive.max_bytes,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
        bar.update(task, description=f"unpacking {archive.name}", completed=0, total=None)
        new = Path(folder) / target.name
        unpack(
            partial.path,
            archive.name,
            new,
            archive.max_unpacked_bytes,
            lambda done: bar.update(task, completed=done),
        )
        content = look_at(new)
        _sync(new)
        write_receipt(target, content, archive.digest, address + archive.name)
        os.replace(new, target)
    partial.discard()
    return _tell(target, "fetched", content)


def _compare(target: Path) -> str:
    receipt = read_receipt(target)
    if receipt is None:
        return f"{target}: there, but not fetched by this command; left as it is"
    content = look_at(target)
    if not content.items() <= receipt.items():
        raise InputError(f"{target} is no longer what was fetched; move it away and repeat the command.")
    return _tell(target, "there and whole", content)


def _tell(target: Path, what: str, content: dict[str, Any]) -> str:
    return f"{target}: {what}; " + ", ".join(f"{name} {value}" for name, value in content.items())


def _sync(path: Path) -> None:
    """On the disk before it has its name; of a folder, its list of files."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(file=sys.stderr), transient=True)
