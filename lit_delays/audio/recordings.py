"""Recordings, checked and brought to one channel and one sampling rate."""

from dataclasses import dataclass
from math import gcd
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lit_delays.errors import InputError

SUFFIXES = (".wav", ".flac")
MAX_SECONDS = 8.0  # SHD's float16 times are within 4 ms up to here, less than half a time step of 10 ms
MIN_SECONDS = 0.02
CLIPPED = 0.001  # share of the samples at full scale


@dataclass(frozen=True)
class Recording:
    """One channel of sound.

    Attributes:
        samples: Sound pressure, at the rate that was asked for.
        notes: What was done to it or is wrong with it, in words.
    """

    samples: NDArray[np.float32]
    notes: tuple[str, ...]


def find_recordings(paths: list[str]) -> list[Path]:
    """The files among these paths as they are, and all wav and flac files in the folders among them, sorted.

    Raises:
        InputError: If a path is not there, or a folder holds no recordings.
    """
    found: list[Path] = []
    for name in paths:
        path = Path(name).expanduser()
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if path.is_dir() and not inside:
            raise InputError(f"no recordings in {path}; it must hold {' or '.join(SUFFIXES)} files.")
        if not path.exists():
            raise InputError(f"cannot find {path.absolute()}; check the path.")
        found += inside if path.is_dir() else [path]
    return found


def read_recording(path: Path, rate: int, max_seconds: float = MAX_SECONDS) -> Recording:
    """Read a wav or flac file, mix its channels down and resample it.

    Args:
        path: The file.
        rate: Sampling rate to bring it to, in Hz.
        max_seconds: Longest recording that is taken.

    Raises:
        InputError: If it is not sound, empty, silent, too long, or holds what is not a number.
    """
    raw, found_rate = load(path, max_seconds)
    notes = ["mixed down to one channel"] if raw.shape[1] > 1 else []
    if not np.isfinite(raw).all():
        raise InputError(f"{path} must hold numbers, got NaN or infinite samples; record it anew.")
    if np.mean(np.abs(raw) >= 1 - 2**-15) > CLIPPED:
        notes.append("clipped: recorded too loud, so spikes may be wrong")
    samples = raw.mean(axis=1)
    if np.ptp(samples) == 0:
        raise InputError(f"{path} must hold sound, got silence; check the microphone.")
    if found_rate != rate:
        # what lies above half a rate cannot be brought back
        above = f", which has nothing above {found_rate / 2000:g} kHz" if found_rate < rate else ""
        notes.append(f"resampled from {found_rate / 1000:g} to {rate / 1000:g} kHz{above}")
        samples = resample(samples, found_rate, rate)
    return Recording(samples - samples.mean(), tuple(notes))


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """The same sound at another sampling rate, in Hz."""
    from scipy.signal import resample_poly

    common = gcd(rate, new_rate)
    resampled: NDArray[np.float32] = resample_poly(samples, new_rate // common, rate // common)
    return resampled.astype(np.float32)


def load(path: Path, max_seconds: float = MAX_SECONDS) -> tuple[NDArray[np.float32], int]:
    """Samples as they are, shape ``(samples, channels)``, and their rate; the length is checked first.

    Raises:
        InputError: If it is not sound, empty or too long.
    """
    soundfile = require_soundfile()
    if not path.is_file():
        raise InputError(f"cannot find {path.absolute()}; check the path.")
    try:
        with soundfile.SoundFile(path) as file:
            seconds, rate = file.frames / file.samplerate, file.samplerate
            if file.frames == 0:
                raise InputError(f"{path} must hold sound, got an empty recording.")
            if not MIN_SECONDS <= seconds <= max_seconds:
                raise InputError(
                    f"{path} must be {MIN_SECONDS:g} to {max_seconds:g} s long, got {seconds:,.3g} s;"
                    " cut it into words."
                )
            return file.read(dtype="float32", always_2d=True), rate
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path} must be a wav or flac recording: {error.error_string}") from error


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
