"""How threads share the vectors of a job: each takes a share after the other, and goes through it by blocks.

A block is as many vectors as fit into the processor's cache with all that is made of them.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numba import carray, float32, float64, njit

from lit_delays.snn.fast.compiled.vectors import BYTES, next_of, njit_as, one_of, pointer, splat

Loops = dict[torch.dtype, Callable[[Any], None]]
NUMBERS: dict[torch.dtype, Any] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}  # that loops can read

WORK = [(name, np.int64) for name in (
    "share", "thread", "num_shares", "total", "num_vectors", "num_bytes", "memory",
)]  # fmt: skip
"""The first numbers of any job.

``share`` counts what the threads have taken, of ``num_shares``, and ``thread`` the threads; ``total`` vectors
are to do, ``num_vectors`` in a block, which is lent ``num_bytes`` of the ``memory`` of all threads.
"""
SHARE_TAKEN, THREAD_CAME = 0, 1  # where the counters lie

SHARE = 64  # vectors that a thread takes at a time


def share_out(
    job: np.ndarray[Any, Any], total: int, num_vectors: int, num_bytes: int, share: int = SHARE
) -> None:
    """Write the first numbers of a job.

    Args:
        job: The one record to write to.
        total: Vectors that are to do.
        num_vectors: Of a block, at most.
        num_bytes: Memory that a block needs, whole vectors.
        share: Vectors that a thread takes at a time.
    """
    job["num_shares"], job["total"] = max(1, total // share), total
    job["num_vectors"], job["num_bytes"] = num_vectors, num_bytes


@njit
def constant(job: Any, index: int, one: Any) -> Any:
    """A number from the job's ``constants``, in every lane."""
    return splat(one_of(pointer(job.constants, one), index))


def by_blocks(name: str, kind: np.dtype[Any], block: Any) -> Loops:
    """Functions of the address of a job, which all threads enter: for each type of numbers one.

    Args:
        name: That no others have.
        kind: Of the job.
        block: What a block goes through: a function of the job, an address of aligned memory, the first
            vector, the number of vectors, a one of the type of numbers, and the numbers of a vector.
    """
    types = {torch.float32: float32, torch.float64: float64}
    return {dtype: _entry(f"{name}_{number}", kind, block, number) for dtype, number in types.items()}


def _entry(name: str, kind: np.dtype[Any], block: Any, number: Any) -> Callable[[Any], None]:
    lanes = BYTES * 8 // number.bitwidth

    @njit_as(f"by_blocks_{name}")
    def entered(address: Any) -> None:
        job, one = carray(address, 1, kind)[0], number(1)
        here = job.memory + job.num_bytes * next_of(address, THREAD_CAME)
        while True:
            share = next_of(address, SHARE_TAKEN)
            if share >= job.num_shares:
                break
            end = job.total * (share + 1) // job.num_shares
            for first in range(job.total * share // job.num_shares, end, job.num_vectors):
                block(job, here, first, min(job.num_vectors, end - first), one, lanes)

    # numba keeps a function on disk under its name and what it encloses. That would be another function,
    # which is new in every process, and nothing would be found again: so it is a global of this one.
    entry = FunctionType(_enter.__code__, {"__name__": __name__, "_entered": entered}, name)
    entry.__qualname__ = name
    return entry


_entered: Any = None


def _enter(address: Any) -> None:
    _entered(address)
