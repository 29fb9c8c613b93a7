r"""The sum of few delayed inputs, synapse by synapse, in compiled loops.

The gradient of an input is the same sum over its targets, with later steps for later lags; that of a tap is
the product of both signals at its lag. Letters as in :mod:`lit_delays.snn.sparse_sum`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lit_delays.snn.fast.circle import cheapest_circle
from lit_delays.snn.fast.compact import compact
from lit_delays.snn.fast.compiled import sparse_loops, stages
from lit_delays.snn.fast.memory_pool import recycled
from lit_delays.snn.fast.real_dft import MATRICES
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.sparse_sum import sparse_sum

LANES = 16  # samples that are summed together, at least
SMALL = 1.0  # multiply-adds of a large product, in the time of one here; measured on a CPU


@uncompiled
def _can(x: Tensor, taps: Tensor, inputs: Tensor, num_steps: int) -> bool:
    if x.device.type != "cpu" or x.dtype != taps.dtype or torch.is_autocast_enabled("cpu") or not x.numel():
        return False
    return is_cheaper(x, taps, num_steps) and sparse_loops(x, taps.shape[1]) is not None


def is_cheaper(x: Tensor, taps: Tensor, num_steps: int) -> bool:
    """Whether it costs less than the sum of all inputs by spectra.

    Example:
        >>> is_cheaper(torch.empty(100, 32, 256), torch.empty(25, 256, 10), num_steps=112)
        True
        >>> is_cheaper(torch.empty(100, 32, 256), torch.empty(25, 256, 200), num_steps=112)
        False
    """
    (num_inputs, batch, fan_in), (num_lags, num_neurons, _) = x.shape, taps.shape
    own = SMALL * taps.numel() * num_steps * -(-batch // LANES) * LANES
    sizes = num_inputs, min(num_lags, num_steps), batch, fan_in, num_neurons
    return own < cheapest_circle(stages() or MATRICES, *sizes).cost


@sparse_sum.register("compiled", can=_can)
@uncompiled
def compiled_sparse_sum(x: Tensor, taps: Tensor, inputs: Tensor, num_steps: int) -> Tensor:
    """Arguments and result as of :func:`~lit_delays.snn.sparse_sum.sparse_sum`."""
    return _SparseSum.apply(x, taps, inputs, num_steps)  # type: ignore[no-any-return, no-untyped-call]


class _SparseSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, inputs: Tensor, num_steps: int) -> Tensor:
        loops = ctx.loops = sparse_loops(x, taps.shape[1])
        assert loops is not None
        x, used = x.contiguous(), taps[:num_steps]  # longer lags come too late
        used = _by_synapse(used, loops.LAGS_AT_ONCE)
        ctx.synapses, lead = loops.SynapseLists(inputs, x.shape[2]), used.shape[1]
        sources = loops.spread("inputs", x, lead, lead + _whole(max(num_steps, len(x)), loops.STEPS), x.dtype)
        layout = loops.sums("outputs", sources, lead, ctx.synapses.by_target, used, num_steps, -1)
        y = recycled((num_steps, x.shape[1], taps.shape[1]), x.dtype, x.device)
        loops.collect(layout, y)
        ctx.save_for_backward(*compact(x), taps)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (x, size, taps), loops = ctx.saved_tensors, ctx.loops
        grad, num_lags = grad.contiguous(), min(len(taps), len(grad))
        used = _by_synapse(taps[:num_lags], loops.LAGS_AT_ONCE)
        steps, lead = _whole(max(len(grad), len(x)), loops.STEPS), _whole(num_lags, loops.STEPS)
        above, grad_x = loops.spread("outputs", grad, 0, steps + lead, grad.dtype), None
        if ctx.needs_input_grad[0]:
            layout = loops.sums("inputs", above, 0, ctx.synapses.by_source, used, len(x), 1)
            grad_x = recycled(tuple(x.shape), grad.dtype, grad.device)
            loops.collect(layout, grad_x)
        sources = loops.spread("inputs", x, lead, lead + steps + loops.STEPS, grad.dtype)
        grads = loops.tap_grads(sources, lead, above, ctx.synapses, grad.shape[1], len(grad), num_lags)
        grad_taps = torch.zeros_like(taps)
        grad_taps[:num_lags] = grads.mul_(size).T.view(num_lags, *taps.shape[1:])
        return grad_x, grad_taps, None, None


def _by_synapse(taps: Tensor, size: int) -> Tensor:
    """From ``(K, O, F)`` to ``(O F, K)``, with lags of nothing up to a whole number of sizes."""
    by_synapse = taps.flatten(1).T
    return F.pad(by_synapse, (0, _whole(len(taps), size) - len(taps))).contiguous()


def _whole(num_steps: int, size: int) -> int:
    return -(-num_steps // size) * size
