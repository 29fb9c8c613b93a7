r"""Signals delayed each by its own taps, as products of small matrices: blocks of time.

.. math:: y_n[t] = \sum_{k=0}^{K-1} a_{k,n}\, x_n[t-k]

C steps of a signal need K + C - 1 steps of its input, and are a product with a matrix of constant diagonals
(Otto Toeplitz). The products of all signals are one batch.
Shape letters: T input steps, T' output steps, B samples, N signals, K lags, C steps of a block.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.memory_pool import recycled
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.separated_sum import delayed_each

BLOCK = 32  # steps; about as many as lags


def toeplitz(taps: Tensor, num_steps: int) -> Tensor:
    """Matrices ``(N, C, K + C - 1)`` from all values that C steps need to their sums.

    Columns are steps, the first is K - 1 before the first of the C: lag k of step c is column c + K - 1 - k.

    Args:
        taps: Shape ``(N, K)``.
        num_steps: Steps ``C``.

    Example:
        >>> toeplitz(torch.tensor([[1.0, 2.0]]), 2)
        tensor([[[2., 1., 0.],
                 [0., 2., 1.]]])
    """
    num_signals, num_lags = taps.shape
    columns = num_lags + num_steps - 1
    rows = torch.cat([taps.flip(1), taps.new_zeros(num_signals, num_steps)], dim=1)
    return rows.repeat(1, num_steps)[:, : num_steps * columns].view(num_signals, num_steps, columns)


def sum_of_diagonals(matrices: Tensor, num_lags: int) -> Tensor:
    """Gradient ``(N, K)`` of the taps from that of their matrices.

    Example:
        >>> sum_of_diagonals(torch.ones(1, 3, 4), 2)
        tensor([[3., 3.]])
    """
    rows = [matrices[:, c, c : c + num_lags] for c in range(matrices.shape[1])]
    return torch.stack(rows).sum(dim=0).flip(1)


def _can(x: Tensor, taps: Tensor, num_steps: int) -> bool:
    return x.device.type == "cpu"


@delayed_each.register("toeplitz", can=_can)
@uncompiled
def delayed_in_blocks(x: Tensor, taps: Tensor, num_steps: int) -> Tensor:
    """Arguments and result as of the plain form; in memory the result is ``(N, T', B)``."""
    with torch.autocast(x.device.type, enabled=False):
        return _Delayed.apply(x, taps.to(x.dtype), num_steps)  # type: ignore


class _Delayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, num_steps: int) -> Tensor:
        ctx.save_for_backward(x, taps)
        matrices, history = toeplitz(taps.T, BLOCK), _history(x, taps, num_steps)
        y = recycled((x.shape[2], num_steps, x.shape[1]), x.dtype, x.device)
        for block, seen in _blocks(num_steps, len(taps)):
            size = block.stop - block.start
            torch.bmm(matrices[:, :size], history[:, seen], out=y[:, block])
        return y.permute(1, 2, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, taps = ctx.saved_tensors
        matrices, history = toeplitz(taps.T, BLOCK), _history(x, taps, len(grad))
        back, pairs, grad = torch.zeros_like(history), torch.zeros_like(matrices), grad.permute(2, 0, 1)
        for block, seen in _blocks(grad.shape[1], len(taps)):
            size, now = block.stop - block.start, grad[:, block].contiguous()
            back[:, seen].baddbmm_(matrices[:, :size].mT, now)
            pairs[:, :size].baddbmm_(now, history[:, seen].mT)
        first = len(taps) - 1
        grad_x = back[:, first : first + len(x)].permute(1, 2, 0)
        return grad_x, sum_of_diagonals(pairs, len(taps)).T, None


def _history(x: Tensor, taps: Tensor, num_steps: int) -> Tensor:
    """The input as ``(N, K - 1 + T' and up to the end of a block, B)``, with zeros where there is none."""
    first, last = len(taps) - 1, len(taps) - 1 + len(x)
    shape = x.shape[2], first + -(-max(num_steps, len(x)) // BLOCK) * BLOCK, x.shape[1]
    history = recycled(shape, x.dtype, x.device)
    history[:, :first], history[:, last:] = 0, 0
    history[:, first:last] = x.permute(2, 0, 1)
    return history


def _blocks(num_steps: int, num_lags: int) -> list[tuple[slice, slice]]:
    """Steps of every block, and the steps of the history that it sees."""
    return [
        (slice(at, min(at + BLOCK, num_steps)), slice(at, at + num_lags + BLOCK - 1))
        for at in range(0, num_steps, BLOCK)
    ]
