"""Google Speech Commands v2: a folder a word, as it is unpacked, to mel spectrograms packed once."""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from lit_delays.audio.mel import NUM_BANDS, SECONDS, STEP_MS, MelName, mel_spectrogram
from lit_delays.audio.recordings import load, require_soundfile
from lit_delays.data.datasets.base import Dataset, require
from lit_delays.data.real_arrays import RealArrays
from lit_delays.data.storage.array_file import Arrays
from lit_delays.data.storage.cache import default_cache_dir, packed_once
from lit_delays.data.storage.hashes import version_of
from lit_delays.data.storage.sources import Split
from lit_delays.errors import InputError
from lit_delays.progress import track
from lit_delays.time_grid import TimeGrid

FOLDER = "speech_commands_v0.02"
LISTS: dict[Split, str] = {"val": "validation_list.txt", "test": "testing_list.txt"}
NUM_STEPS = round(SECONDS * 1000 / STEP_MS) + 1
AT_ONCE = 2**20  # values, checked while they are in the processor's cache
INFINITY = np.float16(np.inf).view(np.uint16)
VERSION = 2  # of what is packed; a cache of another version is made anew


class GSC(Dataset):
    """Google Speech Commands v2, 35 spoken words, as mel spectrograms of 140 bands in steps of 10 ms.

    Args:
        data_dir: Folder that holds the unpacked ``speech_commands_v0.02``.
        mel: Front end: a ``sound`` one, or the paper's, with 53 empty bands, for ``reference``.
    """

    num_inputs = NUM_BANDS
    splits = ("train", "val", "test")

    def __init__(self, *, data_dir: str = "data", mel: MelName = "sound") -> None:
        self.data_dir, self.mel = Path(data_dir), mel

    @override
    def check(self, grid: TimeGrid) -> None:
        step = grid.time_step_ms
        require("time_step_ms", step, step == STEP_MS, f"{STEP_MS:g} ms for GSC")

    @override
    def prepare(self) -> None:
        for split in self.splits:
            self.open(split)

    @override
    def open(self, split: Split) -> RealArrays:
        """Spectrograms, mapped from their cache; the lists say what is for validation and test."""
        folder = self.folder()
        words, recordings = class_names(folder), list_recordings(folder, split)
        address = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        packed = default_cache_dir() / f"gsc-{split}-{self.mel}-{address}.features"
        versions = [f"{name} {_version(folder / name)}" for name in recordings]
        about = {"version": VERSION, "mel": self.mel, "recordings": _digest(versions)}
        compute = partial(_compute, folder, recordings, self.mel)
        fits = partial(_fits, num_samples=len(recordings))
        arrays = packed_once(packed, about, f"packing {packed.stem}", compute, fits)
        return RealArrays(
            values=arrays["features"].reshape(-1, NUM_STEPS, NUM_BANDS),
            labels=np.array([words.index(name.split("/")[0]) for name in recordings]),
            class_names=words,
            reopen=partial(self.open, split),
        )

    @override
    def digest(self, split: Split) -> str:
        return _digest(list_recordings(self.folder(), split))

    def folder(self) -> Path:
        """The unpacked data set.

        Raises:
            InputError: If it is not there; says how to get it.
        """
        folder = self.data_dir.expanduser().absolute() / FOLDER
        if not folder.is_dir():
            command = f"python -m lit_delays data fetch gsc --data-dir {self.data_dir}"
            raise InputError(f"cannot find {folder}; get it with: {command}")
        return folder


def class_names(folder: Path) -> tuple[str, ...]:
    """The words, sorted: the names of all folders but those of noise."""
    words = tuple(
        sorted(item.name for item in folder.iterdir() if item.is_dir() and item.name[0] not in "_.")
    )
    if not words:
        raise InputError(
            f"{folder} must hold a folder of recordings for every word, got none; unpack it anew."
        )
    return words


def list_recordings(folder: Path, split: Split) -> list[str]:
    """Paths of a split's recordings inside the folder, sorted."""
    listed = {name: _lines(folder / file) for name, file in LISTS.items()}
    if split != "train":
        found = sorted(listed[split])
    else:
        taken = set(listed["val"]) | set(listed["test"])
        everything = (
            f"{word}/{path.name}" for word in class_names(folder) for path in (folder / word).glob("*.wav")
        )
        found = sorted(name for name in everything if name not in taken)
    if not found:
        raise InputError(f"{folder} must hold recordings for {split}, got none; unpack it anew.")
    return found


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"cannot find {path}; unpack the data set anew.")
    lines = path.read_text().split()
    words = class_names(path.parent)
    for line in lines:
        if line.count("/") != 1 or line.split("/")[0] not in words:
            raise InputError(
                f"{path} must list recordings as word/name.wav, got {line!r}; unpack the data set anew."
            )
    return lines


def _digest(recordings: list[str]) -> str:
    return hashlib.sha256("\n".join(recordings).encode()).hexdigest()


def _version(recording: Path) -> list[int]:
    return version_of(recording) if recording.is_file() else []  # reading it will say so


def _fits(arrays: Arrays, num_samples: int) -> bool:
    """Whether stored arrays are a spectrogram a recording, of numbers."""
    features = arrays.get("features", np.zeros(0))
    is_whole = features.dtype == np.float16 and len(features) == num_samples * NUM_STEPS * NUM_BANDS
    # numbers that are infinite or none have all bits of the exponent set; quicker than `isfinite`
    return is_whole and not any(
        ((features[first : first + AT_ONCE].view(np.uint16) & INFINITY) == INFINITY).any()
        for first in range(0, len(features), AT_ONCE)
    )


def _compute(
    folder: Path, recordings: list[str], mel: MelName, scratch: Path
) -> dict[str, NDArray[np.float16]]:
    """Spectrograms one after another, mapped from a file: they may be more than the memory holds."""
    require_soundfile()
    with (scratch / "features").open("wb") as file:
        for name in track(recordings, "mel spectrograms", len(recordings)):
            samples, rate = load(folder / name)
            mel_spectrogram(samples.mean(axis=1), rate, mel).astype(np.float16).tofile(file)
    return {"features": np.memmap(scratch / "features", np.float16, mode="r")}
