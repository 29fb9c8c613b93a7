"""What has come of a download: its bytes, their running digest, and the server's validator of the file.

A validator (RFC 9110) is what a server knows a version of a file by: its ``ETag`` or date.
"""

import hashlib
from pathlib import Path

PIECE = 2**18  # bytes


class Partial:
    """A file ``NAME.part`` that grows, beside ``NAME.part.mark``, which holds the validator.

    Attributes:
        path: Where the bytes lie.
        size: How many there are.

    Args:
        path: The file that it will be.
        digest: What it must be when it is whole, ``md5:...`` or ``sha256:...``.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self._validator_file = (path.with_name(path.name + end) for end in (".part", ".part.mark"))
        self._digest = digest
        self._forget()
        if not (self.validator and self.path.is_file()):
            self.discard()
            return
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                self._count(piece)

    @property
    def validator(self) -> str:
        """The server's ``ETag`` or date of the file, for ``If-Range``; empty where it cannot go on."""
        return self._validator_file.read_text(errors="replace") if self._validator_file.is_file() else ""

    @property
    def is_whole(self) -> bool:
        """Whether this is the file."""
        return self.size > 0 and f"{self._running.name}:{self._running.hexdigest()}" == self._digest

    def begin(self, validator: str) -> None:
        """Start anew."""
        self.discard()
        self.path.touch()
        if validator:
            self._validator_file.write_text(validator)

    def append(self, piece: bytes) -> None:
        """Add what came."""
        with self.path.open("ab") as file:
            file.write(piece)
        self._count(piece)

    def settle(self) -> None:
        """A download ends here for now: keep only what can be gone on with."""
        if not (self.validator and self.size):
            self.discard()

    def discard(self) -> None:
        """Keep nothing."""
        self.path.unlink(missing_ok=True)
        self._validator_file.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        self.size = 0
        self._running = hashlib.new(self._digest.partition(":")[0], usedforsecurity=False)

    def _count(self, piece: bytes) -> None:
        self._running.update(piece)
        self.size += len(piece)
