"""Memory for intermediate results, used again and again.

A fresh tensor of 50 MB costs the CPU more in page faults than many an operation on it, and freed ones leave
holes. What lives only inside one call takes its memory here: each name is one buffer that grows to the
largest use. A GPU's allocator keeps its own pool.
"""

import math
import threading

import torch
from torch import Tensor

from lit_delays.snn.fast.memory_pool import pages


class _Buffers(threading.local):
    """One set a thread: two networks in two threads must not write into the same memory."""

    def __init__(self) -> None:
        self.by_name: dict[str, Tensor] = {}


_buffers = _Buffers()


def scratch(name: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised tensor, valid until the next call with the same name in this thread.

    Args:
        name: Which buffer; calls that are in use at the same time need different ones.
        shape: Shape of the tensor.
        dtype: Its type.
        device: Its device; other than the CPU's, the memory is fresh.

    Example:
        >>> first = scratch("doctest", (2, 3), torch.float32, torch.device("cpu"))
        >>> again = scratch("doctest", (6,), torch.float32, torch.device("cpu"))
        >>> first.data_ptr() == again.data_ptr()
        True
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=dtype, device=device)
    num_bytes = math.prod(shape) * dtype.itemsize
    buffer = _buffers.by_name.get(name)
    if buffer is None or len(buffer) < num_bytes:
        _buffers.by_name.pop(name, None)  # before the larger one is there
        del buffer
        buffer = _buffers.by_name[name] = torch.frombuffer(pages(max(num_bytes, 1)), dtype=torch.uint8)
    return buffer[:num_bytes].view(dtype).view(shape)


def scratch_like(name: str, like: Tensor, *shape: int) -> Tensor:
    """:func:`scratch` with the type and device of another tensor."""
    return scratch(name, shape, like.dtype, like.device)
