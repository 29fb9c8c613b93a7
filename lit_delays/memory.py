"""How the C library and torch take memory: set once, before torch is imported, when a process starts."""

import ctypes
import os
import sys

M_MMAP_THRESHOLD = -3  # of glibc's mallopt
LARGE = 2**22  # bytes


def tune_allocator() -> None:
    """Ask for large pages, and give large tensors back when they are freed.

    glibc keeps freed blocks of up to 32 MB in a heap that soon has holes: a step of the paper's SHD network
    takes a fifth less memory without. Large pages make up for the time. Elsewhere than on Linux with glibc
    this does nothing.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGE)
