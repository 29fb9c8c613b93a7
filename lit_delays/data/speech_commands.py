"""Google Speech Commands v2: a folder a word, as it is unpacked, to mel spectrograms packed once."""

import hashlib
import sys
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from lit_delays.audio.mel import NUM_BANDS, SECONDS, STEP_MS, MelName, mel_spectrogram
from lit_delays.audio.recordings import load, require_soundfile
from lit_delays.data.features import FeatureArrays
from lit_delays.data.packing import default_cache_dir, packed_once
from lit_delays.data.sources import Split
from lit_delays.errors import InputError

FOLDER = "speech_commands_v0.02"
LISTS: dict[Split, str] = {"val": "validation_list.txt", "test": "testing_list.txt"}
NUM_STEPS = round(SECONDS * 1000 / STEP_MS) + 1
SHOW_PROGRESS = 200  # recordings; computing fewer is over before a bar is read
VERSION = 1  # of what is packed; a cache of another version is made anew


def open_speech_commands(
    data_dir: Path, split: Split, mel: MelName = "sound", cache_dir: Path | None = None
) -> FeatureArrays:
    """Spectrograms of a split, mapped from their cache; computes them where there is no good cache.

    Args:
        data_dir: Folder that holds the unpacked ``speech_commands_v0.02``.
        split: The test and validation sets are those of the lists in it, all else is for training.
        mel: The front end.
        cache_dir: Folder of the caches; ``default_cache_dir()`` for None.

    Raises:
        InputError: If the folder or one of its lists is missing, or a recording cannot be read.
    """
    folder = find_folder(data_dir)
    words = class_names(folder)
    recordings = list_recordings(folder, split)
    address = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    packed = (cache_dir or default_cache_dir()) / f"gsc-{split}-{mel}-{address}.features"
    about = {"version": VERSION, "mel": mel, "recordings": _digest(recordings)}
    arrays = packed_once(packed, about, f"packing {packed.stem}", partial(_compute, folder, recordings, mel))
    return FeatureArrays(
        arrays["features"].reshape(-1, NUM_STEPS, NUM_BANDS),
        np.array([words.index(name.split("/")[0]) for name in recordings]),
        words,
        partial(open_speech_commands, data_dir, split, mel, cache_dir),
    )


def digest_of_list(data_dir: Path, split: Split) -> str:
    """SHA-256 of the list of a split's recordings."""
    return _digest(list_recordings(find_folder(data_dir), split))


def find_folder(data_dir: Path) -> Path:
    """The unpacked data set.

    Raises:
        InputError: If it is not there; says how to get it.
    """
    folder = data_dir.expanduser().absolute() / FOLDER
    if not folder.is_dir():
        command = f"python -m lit_delays data fetch gsc --data-dir {data_dir}"
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


def _compute(
    folder: Path, recordings: list[str], mel: MelName, place: Path
) -> dict[str, NDArray[np.float16]]:
    """Spectrograms one after another, mapped from a file: they may be more than the memory holds."""
    require_soundfile()
    bar = track(
        recordings,
        description="mel spectrograms",
        console=Console(file=sys.stderr),
        disable=len(recordings) < SHOW_PROGRESS,
        transient=True,
    )
    with (place / "features").open("wb") as file:
        for name in bar:
            samples, rate = load(folder / name)
            mel_spectrogram(samples.mean(axis=1), rate, mel).astype(np.float16).tofile(file)
    return {"features": np.memmap(place / "features", np.float16, mode="r")}
