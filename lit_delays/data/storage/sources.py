"""Where the public data sets live. A new one is one more entry here."""

from dataclasses import dataclass, field
from typing import Literal

Split = Literal["train", "val", "test"]

ZENKE_LAB = "https://zenkelab.org/datasets/"


@dataclass(frozen=True)
class Archive:
    """A packed file on a server.

    The digest is what makes a file trustworthy, so it stands here and is not asked for: whoever holds the
    server cannot change the file. MD5 suffices for that: nobody can make another file of a given MD5.

    Attributes:
        name: File name, below the data set's address.
        digest: Known digest, ``md5:...`` or ``sha256:...``.
        unpacked: The file, or the folder, that it becomes.
        max_bytes: Size that is not believed, packed.
        max_unpacked_bytes: The same, unpacked.
    """

    name: str
    digest: str
    unpacked: str
    max_bytes: int
    max_unpacked_bytes: int


@dataclass(frozen=True)
class Source:
    """A data set and its files.

    Attributes:
        title: Its name in prose.
        address: Of the folder on the server.
        archives: What to fetch.
        files: File name of every split there is, for spikes.
    """

    title: str
    address: str
    archives: tuple[Archive, ...]
    files: dict[Split, str] = field(default_factory=dict)


def _spikes(name: str, md5: str, max_gigabytes: int) -> Archive:
    """A zip file: independent readers agree on their digests; of SSC's gzip files none is known."""
    room = max_gigabytes * 2**30
    return Archive(f"{name}.zip", f"md5:{md5}", name, room, 4 * room)


SOURCES: dict[str, Source] = {
    "shd": Source(
        "Spiking Heidelberg Digits",
        ZENKE_LAB,
        (
            _spikes("shd_train.h5", "f3252aeb598ac776c1b526422d90eecb", 1),
            _spikes("shd_test.h5", "1503a5064faa34311c398fb0a1ed0a6f", 1),
        ),
        {"train": "shd_train.h5", "test": "shd_test.h5"},
    ),
    "ssc": Source(
        "Spiking Speech Commands",
        ZENKE_LAB,
        (
            _spikes("ssc_train.h5", "d102be95e7144fcc0553d1f45ba94170", 8),
            _spikes("ssc_valid.h5", "b4eee3516a4a90dd0c71a6ac23a8ae43", 8),
            _spikes("ssc_test.h5", "a35ff1e9cffdd02a20eb850c17c37748", 8),
        ),
        {"train": "ssc_train.h5", "val": "ssc_valid.h5", "test": "ssc_test.h5"},
    ),
}
GSC = Source(
    "Google Speech Commands v2",
    "https://storage.googleapis.com/download.tensorflow.org/data/",
    (
        Archive(
            "speech_commands_v0.02.tar.gz",
            "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            "speech_commands_v0.02",
            2_428_923_189,
            8 * 2**30,
        ),
    ),
)
FETCHABLE = SOURCES | {"gsc": GSC}
