"""Recordings, checked and brought to one channel and one sampling rate."""

import os
import struct
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.errors import InputError

SUFFIXES = (".wav", ".flac")
MAX_SECONDS = 8.0  # SHD's float16 times are within 4 ms up to here, less than half a time step of 10 ms
MIN_SECONDS = 0.02
CLIPPED = 0.001  # share of the samples at full scale
MIN_RATE, MAX_RATE = 1000, 384_000  # Hz; a filter between rates without a common divisor grows with them
MAX_CHANNELS = 32
UNKNOWN_LENGTH = 0x7FFF0000  # bytes; programs that write to a pipe promise about this, or more
CANCELLED, QUIET = 0.1, 0.35  # loudness of a mix, where 1 is that of channels that have nothing in common


@dataclass(frozen=True)
class Recording:
    """One channel of sound.

    Attributes:
        samples: Sound pressure, at the rate that was asked for.
        notes: What was done to it or is wrong with it, in words.
    """

    samples: NDArray[np.float32]
    notes: tuple[str, ...]


def find_recordings(paths: list[str]) -> tuple[list[Path], list[Path]]:
    """The files among these paths as they are, and all wav and flac files in the folders among them, sorted.

    Returns:
        The recordings, and those left out: hidden ones, and those in folders whose names start with ``_`` or
        ``.``, which are no words, as Speech Commands' ``_background_noise_``.

    Raises:
        InputError: If a path is not there, or a folder holds no recordings.
    """
    found: list[Path] = []
    left_out: list[Path] = []
    for name in paths:
        path = Path(name).expanduser()
        every = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        hidden = [file for file in every if _is_hidden(file.relative_to(path))]
        inside = sorted(set(every) - set(hidden))
        if path.is_dir() and not inside:
            raise InputError(f"no recordings in {path}; it must hold {' or '.join(SUFFIXES)} files.")
        if not path.exists():
            raise InputError(f"cannot find {path.absolute()}; check the path.")
        found += inside if path.is_dir() else [path]
        left_out += hidden
    return found, left_out


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or any(part[0] in "_." for part in path.parts[:-1])


def read_recording(path: Path, rate: int, max_seconds: float = MAX_SECONDS) -> Recording:
    """Read a wav or flac file, mix its channels down and resample it.

    Args:
        path: The file.
        rate: Sampling rate to bring it to, in Hz.
        max_seconds: Longest recording that is taken.

    Raises:
        InputError: If it is not sound, cut off, empty, silent, too long, or holds what is not a number.
    """
    raw, found_rate = load(path, max_seconds)
    samples, notes = _mixed(raw, path)
    if np.mean(np.abs(raw) >= 1 - 2**-15) > CLIPPED:
        notes.append("clipped: recorded too loud, so spikes may be wrong")
    if found_rate != rate:
        # what lies above half a rate cannot be brought back
        above = f", which has nothing above {found_rate / 2000:g} kHz" if found_rate < rate else ""
        notes.append(f"resampled from {found_rate / 1000:g} to {rate / 1000:g} kHz{above}")
        samples = resample(samples, found_rate, rate)
    return Recording(samples - samples.mean(), tuple(notes))


def _mixed(raw: NDArray[np.float32], path: Path) -> tuple[NDArray[np.float32], list[str]]:
    """The mean of all channels, and what is to be said of it."""
    samples = raw.mean(axis=1)
    if np.ptp(raw, axis=0).max() == 0:
        raise InputError(f"{path} must hold sound, got silence; check the microphone.")
    if raw.shape[1] == 1:
        return samples, []
    power = raw.var(axis=0, dtype=np.float64).mean() / raw.shape[1]
    share = float(samples.std(dtype=np.float64) / np.sqrt(power))
    if share < CANCELLED:
        raise InputError(
            f"{path} must have channels that add up, got some that cancel each other, as when one is inverted"
            f" ({share:.1%} of the loudness is left); give one channel."
        )
    quiet = ", which partly cancel each other" if share < QUIET else ""
    return samples, [f"mixed down to one channel{quiet}"]


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """The same sound at another sampling rate, in Hz."""
    from scipy.signal import resample_poly

    common = gcd(rate, new_rate)
    resampled: NDArray[np.float32] = resample_poly(samples, new_rate // common, rate // common)
    return resampled.astype(np.float32)


def load(path: Path, max_seconds: float = MAX_SECONDS) -> tuple[NDArray[np.float32], int]:
    """Samples as they are, shape ``(samples, channels)``, and their rate; the length is checked first.

    Raises:
        InputError: If it is not sound, cut off, empty or too long, or holds what is not a number.
    """
    soundfile = require_soundfile()
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    try:
        # names need not be UTF-8, but for what `soundfile` does with texts
        with soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path) as file:
            _check_head(path, file, max_seconds)
            # some compressed wavs cannot seek, and must be told how much to read
            raw = file.read(file.frames, dtype="float32", always_2d=True)
            rate, missing = file.samplerate, 1 - len(raw) / file.frames or _missing_share(path)
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path} must be a wav or flac recording: {error.error_string}") from error
    if missing:
        raise InputError(
            f"{path} must be whole, got a recording without its last {100 * missing:.2g} %; get it anew."
        )
    if not np.isfinite(raw).all():
        raise InputError(f"{path} must hold numbers, got NaN or infinite samples; record it anew.")
    return raw, rate


def _check_head(path: Path, file: Any, max_seconds: float) -> None:
    """What a file promises, before any of it is read."""
    if file.frames == 0:
        raise InputError(f"{path} must hold sound, got an empty recording.")
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise InputError(
            f"{path} must have {MIN_RATE:,} to {MAX_RATE:,} samples a second, got {file.samplerate:,};"
            " resample it."
        )
    seconds = file.frames / file.samplerate
    if not MIN_SECONDS <= seconds <= max_seconds:
        raise InputError(
            f"{path} must be {MIN_SECONDS:g} to {max_seconds:g} s long, got {seconds:,.3g} s;"
            " cut it into words."
        )
    if file.channels > MAX_CHANNELS:
        raise InputError(f"{path} must have at most {MAX_CHANNELS} channels, got {file.channels:,}.")


def _missing_share(path: Path) -> float:
    """How much of the sound that a wav file promises is not in it, as when a copy was cut off.

    Its reader takes what is there.
    """
    with path.open("rb") as file:
        order = {b"RIFF": "<", b"RIFX": ">"}.get(file.read(4))
        size = file.seek(0, 2)
        file.seek(12)
        while order and len(head := file.read(8)) == 8:
            name, length = struct.unpack(f"{order}4sI", head)
            if name == b"data":
                left = size - file.tell()
                return 1 - left / length if left < length < UNKNOWN_LENGTH else 0.0
            file.seek(length + length % 2, 1)
    return 0.0


def require_soundfile() -> ModuleType:
    """The package ``soundfile``.

    Raises:
        InputError: If it is not installed; says how to get it.
    """
    try:
        import scipy  # noqa: F401
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without libsndfile on a system that has no wheel
        raise InputError(f"sound needs more packages ({error}); pip install scipy soundfile") from error
    module: ModuleType = soundfile
    return module
