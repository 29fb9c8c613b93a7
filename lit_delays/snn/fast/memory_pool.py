"""Memory for results that outlive a call, taken from results that nobody holds any more.

A training step frees its tensors and the next one asks for the same again. The system hands memory out page
by page and emptied, which can cost more than the operation that fills it. Here freed memory waits for the
next tensor of about its size. :mod:`.scratch` serves what lives inside one call.
"""

import math
import mmap
import threading
import weakref
from contextlib import suppress

import torch
from torch import Tensor

LARGE = 2**20  # bytes; smaller ones come from the C library, which keeps them
PATIENCE = 500  # requests, dozens of training steps: buffers free for longer go when the next one is made


def pages(num_bytes: int) -> mmap.mmap:
    """Memory of this process alone, in large pages where the system has them."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    memory = mmap.mmap(-1, num_bytes, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class _Buffer:
    """Memory, the view of it that the last tensor holds, and when that was."""

    def __init__(self, num_bytes: int) -> None:
        self.memory = pages(num_bytes)
        self.user: weakref.ref[memoryview] | None = None
        self.last_request = 0

    def is_free(self) -> bool:
        return self.user is None or self.user() is None

    def lend(self) -> memoryview:
        view = memoryview(self.memory)
        self.user = weakref.ref(view)
        return view


class _Pool(threading.local):
    """One a thread, as tensors are made without a lock."""

    def __init__(self) -> None:
        self.buffers: list[_Buffer] = []
        self.requests = 0

    def take(self, num_bytes: int) -> memoryview:
        self.requests += 1
        size = 1 << (num_bytes - 1).bit_length()  # neighbours share it, and Linux gives what is touched
        free = (buffer for buffer in self.buffers if len(buffer.memory) == size and buffer.is_free())
        buffer = next(free, None) or self._grow(size)
        buffer.last_request = self.requests
        return buffer.lend()

    def _grow(self, num_bytes: int) -> _Buffer:
        oldest = self.requests - PATIENCE
        self.buffers = [b for b in self.buffers if b.last_request > oldest or not b.is_free()]
        self.buffers.append(_Buffer(num_bytes))
        return self.buffers[-1]


_pool = _Pool()


def recycled_like(x: Tensor) -> Tensor:
    """:func:`recycled` of the shape, type and device of another tensor."""
    return recycled(tuple(x.shape), x.dtype, x.device)


def recycled(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised tensor, as ``torch.empty``; its memory is used again when its last view is gone.

    A GPU's allocator recycles by itself.

    Example:
        >>> cpu = torch.device("cpu")
        >>> first = recycled((1024, 1024), torch.float32, cpu)
        >>> address = first.data_ptr()
        >>> recycled((1024, 1024), torch.float32, cpu).data_ptr() == address  # still in use
        False
        >>> del first
        >>> recycled((1000, 1024), torch.float32, cpu).data_ptr() == address
        True
    """
    size = math.prod(shape)
    if device.type != "cpu" or size * dtype.itemsize < LARGE:
        return torch.empty(shape, dtype=dtype, device=device)
    tensor = torch.frombuffer(_pool.take(size * dtype.itemsize), dtype=dtype, count=size)
    return tensor.resize_(shape)  # not a view, which autograd would let nobody change in place
