"""Compiled loops on torch's own threads.

Threads of a second kind would have to wait for torch's, which keep a core busy for milliseconds after an
operation, waiting for the next. On Linux torch's threads are those of GNU OpenMP, and it runs any function on
them; elsewhere a thread of Python stands in for each.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from threading import Thread
from typing import Any

import numpy as np
import torch

Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def run(entry: Any, job: np.ndarray[Any, Any]) -> None:
    """Let every thread enter a compiled function, with the same job; returns when all came back.

    Args:
        entry: What ``numba.cfunc`` made of a function of one address.
        job: One record, which says what is to do; threads share the work out among themselves.
    """
    num_threads = torch.get_num_threads()
    if num_threads == 1:
        Entry(entry.address)(job.ctypes.data)
    elif team := _team():
        team(entry.address, job.ctypes.data, num_threads, 0)
    else:
        _in_threads_of_python(Entry(entry.address), job.ctypes.data, num_threads)


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
