"""Public data sets, from their servers to their place: downloaded, checked, unpacked, in one step each."""

from pathlib import Path
from typing import Any

from lit_delays.atomic_files import atomic_path, remove_leftovers
from lit_delays.data.storage.archives import unpack
from lit_delays.data.storage.download import download
from lit_delays.data.storage.lock import locked
from lit_delays.data.storage.partial_download import Partial
from lit_delays.data.storage.receipts import content_of, read_receipt, write_receipt
from lit_delays.data.storage.sources import Archive
from lit_delays.errors import InputError
from lit_delays.progress import Progress


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
                remove_leftovers(target.parent, target.name)  # not the partial download
            if target.exists():
                return _compare(target)
            return _get(archive, target, address)
    except OSError as error:
        raise InputError(
            f"cannot write into {folder}: {error.strerror or error}; make room, or give another --data-dir."
        ) from error


def _get(archive: Archive, target: Path, address: str) -> str:
    partial = Partial(target.with_name(archive.name), archive.digest)
    with Progress(f"fetching {archive.name}, bytes") as progress:
        download(address + archive.name, partial, archive.max_bytes, progress.update)
    with atomic_path(target) as new:
        with Progress(f"unpacking {archive.name}, bytes") as progress:
            limit = archive.max_unpacked_bytes
            unpack(partial.path, archive.name, new, limit, lambda done: progress.update(done, None))
        content = content_of(new)
        write_receipt(target, content, archive.digest, address + archive.name)
    partial.discard()
    return _tell(target, "fetched", content)


def _compare(target: Path) -> str:
    receipt = read_receipt(target)
    if receipt is None:
        return f"{target}: there, but not fetched by this command; left as it is"
    content = content_of(target)
    if not content.items() <= receipt.items():
        raise InputError(f"{target} is no longer what was fetched; move it away and repeat the command.")
    return _tell(target, "there and whole", content)


def _tell(target: Path, what: str, content: dict[str, Any]) -> str:
    return f"{target}: {what}; " + ", ".join(f"{name} {value}" for name, value in content.items())
