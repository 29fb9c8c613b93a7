"""Strangers' files are read apart from the trainer, so that a bad end of the reader is one sentence here.

A crafted file can crash HDF5's library, keep it busy for ever or have it take all memory. `reader.py` runs in
a process of its own, with limits, without this process's keys and tokens, and hands over plain arrays.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from rich.console import Console
from rich.progress import Progress

from lit_delays.data.arrays import DTYPES, fit_together
from lit_delays.errors import InputError

SHOW_PROGRESS = 5000  # samples; reading fewer is over before a bar is read
MAX_LINE = 2**16  # characters of a report
KEPT = ("LD_LIBRARY_PATH", "LIT_DELAYS_DEBUG", "PATH", "PYTHONHOME", "TMPDIR")  # of the environment
ENDINGS = {
    signal.SIGXCPU: "takes too long to read",
    signal.SIGKILL: "had its reader killed, perhaps for lack of memory",
}


def read_apart(path: Path, num_units: int, folder: Path) -> dict[str, NDArray[Any]]:
    """Check a file in a process of its own, and map the arrays that it leaves.

    Args:
        path: HDF5 file in SHD's layout.
        num_units: Number of input channels.
        folder: An empty folder, where the arrays stay for as long as they are used.

    Returns:
        The arrays of ``SpikeArrays``, by name.

    Raises:
        InputError: If the file breaks a rule of the layout, or breaks its reader.
    """
    error, bar = None, Progress(console=Console(file=sys.stderr), transient=True)
    with _started(path, num_units, folder) as process:
        try:
            for report in _reports(process):
                error = report.get("error")
                if report.get("of", 0) >= SHOW_PROGRESS:
                    _show(bar, path, report["done"], report["of"])
        finally:
            process.kill()
            if bar.live.is_started:
                bar.stop()
    arrays = {name: _map(folder / name, dtype) for name, dtype in DTYPES.items() if (folder / name).exists()}
    if process.returncode != 0 or not fit_together(arrays):
        raise InputError(error or _ending(path, process.returncode))
    return arrays


def _started(path: Path, num_units: int, folder: Path) -> subprocess.Popen[str]:
    debug = bool(os.environ.get("LIT_DELAYS_DEBUG"))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "lit_delays.data.reader", path, str(num_units), folder],
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


def _show(bar: Progress, path: Path, done: int, of: int) -> None:
    if not bar.live.is_started:
        bar.start()
        bar.add_task(f"packing {path.name}", total=of)
    bar.update(bar.tasks[0].id, completed=done)


def _ending(path: Path, returncode: int) -> str:
    how = "cannot be read: its reader ended early"
    if returncode < 0:
        number = signal.Signals(-returncode)
        how = ENDINGS.get(number, f"crashes HDF5's library ({number.name})")
    return f"{path} {how}; get the file anew from a source you trust."


def _map(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    """The file as an array; a map of nothing is not allowed."""
    count = path.stat().st_size // np.dtype(dtype).itemsize
    return np.memmap(path, dtype, mode="r", shape=(count,)) if count else np.zeros(0, dtype)
