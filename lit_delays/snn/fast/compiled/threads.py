"""Compile loops when they are needed, and run them on torch's own threads.

Threads of a second kind would have to wait for torch's, which keep a core busy for milliseconds after an
operation, waiting for the next. On Linux torch's threads are those of GNU OpenMP, and it runs any function on
them; elsewhere a thread of Python stands in for each.
"""

import ctypes
import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock, Thread
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import binding

from lit_delays.snn.fast.compiled.vectors import BYTES
from lit_delays.snn.fast.scratch import scratch

Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_compiling = Lock()


def run(function: Callable[[Any], None], job: np.ndarray[Any, Any]) -> None:
    """Let every thread enter a function, with the same job; returns when all came back.

    Args:
        function: Of one address, that of the job; compiled at its first call on a machine, in seconds.
        job: One record, which says what is to do; threads share the work out among themselves.
    """
    with _compiling:  # once, also where two threads ask at the same time
        entry = _compiled(function).address
    num_threads = torch.get_num_threads()
    size = (num_threads * int(job["num_bytes"][0]) + BYTES,)
    memory = scratch("blocks", size, torch.uint8, torch.device("cpu"))
    job["memory"] = -(-memory.data_ptr() // BYTES) * BYTES
    if num_threads == 1:
        Entry(entry)(job.ctypes.data)
    elif team := _team():
        team(entry, job.ctypes.data, num_threads, 0)
    else:
        _in_threads_of_python(Entry(entry), job.ctypes.data, num_threads)


@cache
def _compiled(function: Callable[[Any], None]) -> Any:
    signature, kept, folder = numba.types.void(numba.types.voidptr), numba.config.CACHE_DIR, _folder()
    if folder is None or not any(folder.iterdir()):
        _tell()
    numba.config.CACHE_DIR = str(folder or "")
    try:
        return numba.cfunc(signature, cache=folder is not None)(function)
    except (OSError, RuntimeError):  # the disk is full, say: compiled in this process alone
        return numba.cfunc(signature)(function)
    finally:
        numba.config.CACHE_DIR = kept


@cache
def _tell() -> None:
    print("compiling loops for this CPU, once: some ten seconds", file=sys.stderr, flush=True)


@cache
def _folder() -> Path | None:
    """Where loops are kept on disk: beside the sources, or in the user's cache; None where neither can be.

    It belongs to these very sources and this kind of CPU. Numba would look at the file of the function alone,
    and where it cannot write to its folder it would take another.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    for parent in (Path(__file__).parent / "__pycache__", Path(caches) / "lit_delays"):
        try:
            folder = parent.expanduser() / f"loops_{_digest()}"
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
        except (OSError, RuntimeError):  # the latter where nobody knows a home
            continue
        return folder
    return None


@cache
def _digest() -> str:
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    cpu = f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    return hashlib.sha256(sources + cpu.encode()).hexdigest()[:16]


@cache
def _team() -> Callable[..., None] | None:
    """GNU OpenMP's own entry to a parallel region, where torch has brought it."""
    try:
        parallel = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):  # another OpenMP, or Windows
        return None
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    return parallel


def _in_threads_of_python(entry: Callable[[int], None], address: int, num_threads: int) -> None:
    others = [Thread(target=entry, args=(address,)) for _ in range(num_threads - 1)]
    for other in others:
        other.start()
    entry(address)
    for other in others:
        other.join()
