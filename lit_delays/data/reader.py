"""The process that reads a stranger's HDF5 file: little memory, little time, few imports.

``python -m lit_delays.data.reader FILE NUM_UNITS FOLDER`` checks the file and writes its arrays into the
folder. It reports in lines of JSON, ``{"done": samples, "of": samples}``, and ends with
``{"error": sentence}`` if the file is refused. `apart.py` starts it.
"""

import ctypes
import json
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.data.hdf5 import open_hdf5
from lit_delays.data.shd_layout import read_class_names, read_labels, read_speakers, read_spikes
from lit_delays.errors import InputError

MEMORY = 2**30  # bytes of address space; spoken digits take 2**27, and samples of 200,000 spikes fit
SECONDS = 20  # of processor time, and one more for every megabyte: thirty times what is needed
PR_SET_PDEATHSIG = 1  # of Linux's prctl
MAX_SENTENCE = 1000  # characters; a file may bring its own names of types


def main() -> None:
    """Read one file, and leave with code 1 if it is refused."""
    path, num_units, folder = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C needs no traceback from here
    _end_with_parent()
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_AS, MEMORY)
    limit(resource.RLIMIT_CPU, seconds_for(path))
    try:
        with in_one_sentence(path):
            extract(path, num_units, folder)
    except InputError as error:
        _report(error=printable(str(error)))
        sys.exit(1)


def limit(which: int, value: int) -> None:
    """Lower a limit of this process; a system that knows no such limit goes without."""
    try:
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (min(value, hard) if hard >= 0 else value, hard))
    except (OSError, ValueError):
        pass


def _end_with_parent() -> None:
    """Write nothing more once the trainer is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def seconds_for(path: Path) -> int:
    """Processor time that a file may take."""
    return SECONDS + (path.stat().st_size >> 20 if path.is_file() else 0)


@contextmanager
def in_one_sentence(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes Python, NumPy or h5py raise is the same mistake to the user."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{path} needs more than {MEMORY >> 20:,} MB of memory; get the file anew."
        ) from error
    except Exception as error:
        kind = type(error).__name__
        raise InputError(f"{path} cannot be read; get the file anew. HDF5 says: {kind}: {error}") from error


def extract(path: Path, num_units: int, folder: Path) -> None:
    """Write the arrays of a file into a folder, checked, a few samples in memory at a time.

    Args:
        path: HDF5 file in SHD's layout.
        num_units: Number of input channels.
        folder: Where the arrays go, one file each, by the names of ``SpikeArrays``.

    Raises:
        InputError: If the file breaks a rule of the layout.
    """
    with open_hdf5(path) as file:
        labels, speakers = read_labels(file), read_speakers(file)
        _write(folder / "labels", labels, "wb")
        if speakers is not None:
            _write(folder / "speakers", speakers, "wb")
        names = "\0".join(read_class_names(file)).encode()
        _write(folder / "class_names", np.frombuffer(names, np.uint8), "wb")
        lengths = [np.zeros(1, np.int64)]
        done = 0
        for times, units, chunk_lengths in read_spikes(file, num_units):
            _write(folder / "times", times)
            _write(folder / "units", units)
            lengths.append(chunk_lengths)
            _report(done=(done := done + len(chunk_lengths)), of=len(labels))
        _write(folder / "indptr", np.cumsum(np.concatenate(lengths)), "wb")


def _write(path: Path, array: NDArray[Any], mode: str = "ab") -> None:
    try:
        with path.open(mode) as file:
            file.write(array.data)
    except OSError as error:
        raise InputError(
            f"cannot write the cache into {path.parents[1]}: {error.strerror};"
            " make room, or give another $LIT_DELAYS_CACHE."
        ) from error


def printable(text: str) -> str:
    """A short line without the characters that steer a terminal."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in line)[:MAX_SENTENCE]


def _report(**entries: Any) -> None:
    print(json.dumps(entries), flush=True)


if __name__ == "__main__":
    main()
