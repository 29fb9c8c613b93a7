"""What was fetched, written down beside it: ``shd_train.h5.json`` beside ``shd_train.h5``.

The digests of the archives are known; those of what they hold are noted when it is unpacked, so that a later
command tells whether it is still the same.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from lit_delays.atomic_files import write_atomic


def receipt_path(target: Path) -> Path:
    """Where the receipt of a file or folder lies."""
    return target.with_name(target.name + ".json")


def write_receipt(target: Path, content: dict[str, Any], archive: str, address: str) -> None:
    """Note what was unpacked, of which archive's digest, from where."""
    receipt = content | {"archive": archive, "address": address}
    write_atomic(receipt_path(target), json.dumps(receipt, indent=2) + "\n")


def read_receipt(target: Path) -> dict[str, Any] | None:
    """The receipt, if there is a sound one."""
    try:
        receipt = json.loads(receipt_path(target).read_text())
    except (OSError, ValueError):
        return None
    return receipt if isinstance(receipt, dict) else None


def content_of(target: Path) -> dict[str, Any]:
    """What a receipt says of a file: bytes and SHA-256; of a folder: files and bytes."""
    if target.is_dir():
        sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
        return {"files": len(sizes), "bytes": sum(sizes)}
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": target.stat().st_size, "sha256": digest}
