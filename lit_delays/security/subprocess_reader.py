"""Untrusted files are read in a process of their own, so that a bad end of the reader is one sentence here.

A crafted file can crash HDF5's library, keep it busy for ever or have it take all memory. `reader_process.py`
reads it with limits, without this process's keys and tokens, and hands over plain arrays.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.errors import InputError
from lit_delays.progress import Progress

Arrays = dict[str, NDArray[Any]]

MAX_LINE = 2**16  # characters of a report
KEPT = (
    "LD_LIBRARY_PATH",
    "LIT_DELAYS_DEBUG",
    "PATH",
    "PYTHONHOME",
    "SYSTEMROOT",
    "TMPDIR",
)  # of the environment
TYPES = ("float16", "float32", "float64", "int64", "uint16", "uint8")  # of arrays
ENDINGS = {
    "SIGXCPU": "takes too long to read",
    "SIGKILL": "had its reader killed, perhaps for lack of memory",
}

log = logging.getLogger(__name__)


def read_in_subprocess(
    reader: str, path: Path, options: dict[str, Any], folder: Path, fits: Callable[[Arrays], bool]
) -> Arrays:
    """Have a file checked by a process of its own, and map the arrays that it leaves.

    Args:
        reader: Function that reads it, ``module:name``; see ``reader_process.py``.
        path: The file.
        options: Keyword arguments of the reader, plain values.
        folder: An empty folder, where the arrays stay for as long as they are used.
        fits: Whether the arrays are what the reader should leave.

    Returns:
        The arrays by name.

    Raises:
        InputError: If the file breaks a rule of the reader, or breaks the reader.
    """
    if find_spec("resource") is None:
        _warn_without_limits()
    error = None
    with _started(reader, path, options, folder) as process, Progress(f"packing {path.name}") as progress:
        try:
            for report in _reports(process):
                error = report.get("error")
                if "done" in report:
                    progress.update(report["done"], report["of"])
        finally:
            process.kill()
    arrays = {file.stem: _map(file) for file in folder.iterdir() if file.suffix[1:] in TYPES}
    if process.returncode != 0 or not fits(arrays):
        raise InputError(error or _ending(path, process.returncode))
    return arrays


@cache
def _warn_without_limits() -> None:
    log.warning("this system cannot limit the time and memory that a data file takes: open files you trust.")


def _started(reader: str, path: Path, options: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    debug = bool(os.environ.get("LIT_DELAYS_DEBUG"))
    words = [reader, str(path), json.dumps(options), str(folder)]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lit_delays.security.reader_process", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if debug else subprocess.DEVNULL,  # where C libraries print their last words
        env={name: os.environ[name] for name in KEPT if name in os.environ}
        | {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "HDF5_PLUGIN_PRELOAD": "::",  # no code that a file names
            "OPENBLAS_NUM_THREADS": "1",  # a thread takes address space
        },
        encoding="utf-8",
        errors="replace",
    )


def _reports(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    while line := process.stdout.readline(MAX_LINE):
        with suppress(ValueError):  # not ours
            if isinstance(report := json.loads(line), dict):
                yield report
    process.wait()


def _ending(path: Path, returncode: int) -> str:
    how = "cannot be read: its reader ended early"
    if returncode < 0:
        name = signal.Signals(-returncode).name
        how = ENDINGS.get(name, f"crashes HDF5's library ({name})")
    return f"{path} {how}; get the file anew from a source you trust."


def _map(path: Path) -> NDArray[Any]:
    """The file as an array; a map of nothing is not allowed."""
    dtype = np.dtype(path.suffix[1:])
    count = path.stat().st_size // dtype.itemsize
    return np.memmap(path, dtype, mode="r", shape=(count,)) if count else np.zeros(0, dtype)
