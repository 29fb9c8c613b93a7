"""Where the public data sets live. A new one is one more entry here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lit_delays.errors import InputError

Split = Literal["train", "val", "test"]

BASE_URL = "https://zenkelab.org/datasets/"


@dataclass(frozen=True)
class Source:
    """A data set and its files.

    Attributes:
        title: Its name in prose.
        files: File name of every split there is.
        md5: Digests of the packed files (``.gz``), where they are known: against damage, not against malice.
    """

    title: str
    files: dict[Split, str]
    md5: dict[str, str] = field(default_factory=dict)


SOURCES: dict[str, Source] = {
    "shd": Source(
        "Spiking Heidelberg Digits",
        {"train": "shd_train.h5", "test": "shd_test.h5"},
        {
            "shd_train.h5.gz": "d47c9825dee33347913e8ce0f2be08b0",
            "shd_test.h5.gz": "3062a80ec0c5719404d5b02e166543b1",
        },
    ),
    "ssc": Source(
        "Spiking Speech Commands",
        {"train": "ssc_train.h5", "val": "ssc_valid.h5", "test": "ssc_test.h5"},
    ),
}


def locate(dataset: str, split: Split, data_dir: Path) -> Path:
    """Path of a split's file.

    Args:
        dataset: A name in ``SOURCES``.
        split: One that the data set has.
        data_dir: Folder of the files.

    Raises:
        InputError: If the file is not there; says how to get it.
    """
    path = data_dir.expanduser().absolute() / SOURCES[dataset].files[split]
    if not path.is_file():
        command = f"curl --fail --create-dirs -o {path}.gz {BASE_URL}{path.name}.gz && gunzip {path}.gz"
        raise InputError(f"cannot find {path}; get it with: {command}")
    return path
