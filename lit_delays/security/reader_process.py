"""The process that reads an untrusted HDF5 file: little memory, little time, few imports.

``python -m lit_delays.security.reader_process MODULE:READER FILE OPTIONS FOLDER`` calls ``READER(file,
**options)``, which yields pieces of arrays by name and how much it has read, and appends them to
``FOLDER/NAME.TYPE``. It reports in lines of JSON, ``{"done": samples, "of": samples}``, and ends with
``{"error": sentence}`` if the file is refused. `subprocess_reader.py` starts it.
"""

import ctypes
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lit_delays.errors import InputError
from lit_delays.security.hdf5_guard import open_hdf5
from lit_delays.security.stored_bytes import stored_bytes

Piece = tuple[Mapping[str, NDArray[Any]], int, int]  # arrays by name, samples done, samples in all

MEMORY = 2**30  # bytes of address space; spoken digits take 2**27, and samples of 200,000 spikes fit
SECONDS = 20  # of processor time, and one more for every megabyte: thirty times what is needed
MOST_SECONDS = 3600  # enough for a hundred gigabytes
PR_SET_PDEATHSIG = 1  # of Linux's prctl
MAX_SENTENCE = 1000  # characters; a file may bring its own names of types


def main() -> None:
    """Read one file, and leave with code 1 if it is refused."""
    module, _, name = sys.argv[1].partition(":")
    path, options, folder = Path(sys.argv[2]), json.loads(sys.argv[3]), Path(sys.argv[4])
    reader = getattr(import_module(module), name)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C needs no traceback from here
    _end_with_parent()
    limit("RLIMIT_CORE", 0)
    limit("RLIMIT_AS", MEMORY)
    limit("RLIMIT_CPU", seconds_for(path))
    try:
        with in_one_sentence(path):
            extract(path, reader, options, folder)
    except InputError as error:
        _report(error=printable(str(error)))
        sys.exit(1)


def limit(name: str, value: int) -> None:
    """Lower a limit of this process; a system that knows no such limit goes without."""
    with suppress(ImportError, OSError, ValueError):  # ImportError: Windows, which knows none
        import resource

        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (min(value, hard) if hard >= 0 else value, hard))


def _end_with_parent() -> None:
    """Write nothing more once the trainer is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def seconds_for(path: Path) -> int:
    """Processor time that a file may take."""
    return min(SECONDS + (stored_bytes(path) >> 20 if path.is_file() else 0), MOST_SECONDS)


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


def extract(
    path: Path, reader: Callable[..., Iterator[Piece]], options: dict[str, Any], folder: Path
) -> None:
    """Write the arrays of a file into a folder, a piece in memory at a time.

    Raises:
        InputError: If the file breaks a rule of the reader.
    """
    with open_hdf5(path) as file:
        for arrays, done, total in reader(file, **options):
            for name, array in arrays.items():
                _append(folder / f"{name}.{array.dtype.name}", array)
            _report(done=done, of=total)


def _append(path: Path, array: NDArray[Any]) -> None:
    try:
        with path.open("ab") as file:
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
