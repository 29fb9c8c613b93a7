"""How an input waits for the backward pass: spikes as bytes."""

import torch
from torch import Tensor

from lit_delays.snn.fast.compiled import truth_loops
from lit_delays.snn.fast.memory_pool import recycled


def compact(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes of one size as bytes, and their size: a quarter of the memory. All else as it is, and one."""
    if x.device.type == "cpu" and (size := _size(x)) > 0:  # looking at it would make a GPU wait
        loops = truth_loops(x)
        spikes = loops.as_truths(x, size.item()) if loops else _as_truths(x, size)
        if spikes is not None:
            return spikes, size
    return x, x.new_ones(())


def _size(x: Tensor) -> Tensor:
    """That of the spikes, if x is spikes of one size; then any of them tells it."""
    middle = x[len(x) // 2].amax()
    return middle if middle > 0 else x.amax()


def _as_truths(x: Tensor, size: Tensor) -> Tensor | None:
    spikes = recycled(tuple(x.shape), torch.bool, x.device)
    same = all(torch.equal(torch.ne(x[t], 0, out=spikes[t]), x[t] == size) for t in range(len(x)))
    return spikes if same else None
