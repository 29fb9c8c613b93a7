"""Spikes as bytes, in one pass over them: compiled loops."""

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from lit_delays.snn.fast.compiled.blocks import NUMBERS, WORK, by_blocks, share_out
from lit_delays.snn.fast.compiled.threads import run
from lit_delays.snn.fast.compiled.vectors import (
    BYTES,
    are_equal,
    load,
    one_of,
    pointer,
    splat,
    store_truths,
    where_at_least,
)
from lit_delays.snn.fast.memory_pool import recycled

BLOCK = 64  # vectors between two looks at whether it is lost
JOB = np.dtype(WORK + [(name, np.int64) for name in ("numbers", "num_numbers", "size", "truths", "fails")])
"""What is to do: addresses, but ``num_numbers``; at ``fails`` a byte that is not 0 once it is lost."""


@njit
def _truths(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    numbers, byte = pointer(job.numbers, one), np.uint8(0)
    truths, fails = pointer(job.truths, byte), pointer(job.fails, byte)
    size, nothing = splat(one_of(pointer(job.size, one), 0)), splat(one - one)
    for vector in range(first, first + count):
        if one_of(fails, 0) != 0:
            break
        place = min(vector * lanes, job.num_numbers - lanes)
        x = load(numbers, place)
        store_truths(truths, place, x)
        if not are_equal(x, where_at_least(x, size, size, nothing)):
            store_truths(fails, 0, splat(one))


TRUTHS = by_blocks("truths", JOB, _truths)


def can(x: Tensor) -> bool:
    """Whether the loops can read them."""
    return x.dtype in NUMBERS and x.is_contiguous() and x.numel() * x.itemsize >= BYTES


def as_truths(x: Tensor, size: float) -> Tensor | None:
    """Where x is ``size``, above 0; None if it is anything else but 0 somewhere."""
    spikes = recycled(tuple(x.shape), torch.bool, x.device)
    job, fails = np.zeros(1, JOB), np.zeros(BYTES, np.uint8)
    number = np.array([size], NUMBERS[x.dtype])
    share_out(job, -(-x.numel() * x.itemsize // BYTES), BLOCK, 0)
    job["numbers"], job["num_numbers"], job["size"] = x.data_ptr(), x.numel(), number.ctypes.data
    job["truths"], job["fails"] = spikes.data_ptr(), fails.ctypes.data
    run(TRUTHS[x.dtype], job)
    return None if fails.any() else spikes
