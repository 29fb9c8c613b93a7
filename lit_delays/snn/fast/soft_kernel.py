r"""The dense kernel of soft delays, with gradients by hand.

.. math:: \frac{\partial\,\mathrm{taps}_k}{\partial d} = t'_k - \mathrm{taps}_k \sum_j t'_j, \qquad
          t'_k = \frac{\partial g_k / \partial d}{\sum_j g_j + \epsilon}

They make the taps again instead of keeping them, normalise sums over lags, not every lag, and go through the
neurons in groups whose taps fit into the processor's cache. Letters as in :mod:`lit_delays.snn.kernels`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.compiled import gaussian_loops
from lit_delays.snn.fast.memory_pool import recycled
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.kernels import EPSILON, Kernel, distances, soft_kernel

GROUP_SIZE = 2**17  # taps made at once: half a megabyte in float32


def _can(weight: Tensor, delay: Tensor, sigma: Tensor, num_lags: int, kernel: Kernel) -> bool:
    return (
        not sigma.requires_grad
        and delay.shape == weight.shape
        and delay.dtype == weight.dtype
        and sigma.ndim == 0
        and _has_own_slope(type(kernel))
    )


def _has_own_slope(kernel: type[Kernel]) -> bool:
    """Whether its slope is that of its shape: no subclass wrote another shape, or taps, alone."""
    first = next(cls for cls in kernel.__mro__ if {"shape", "slope"} & vars(cls).keys())
    return "slope" in vars(first) and kernel.taps is Kernel.taps


@soft_kernel.register("by_hand", can=_can)
@uncompiled
def soft_kernel_by_hand(
    weight: Tensor, delay: Tensor, sigma: Tensor, num_lags: int, kernel: Kernel
) -> Tensor:
    """Arguments and result as of :func:`~lit_delays.snn.kernels.soft_kernel`."""
    return _SoftKernel.apply(weight, delay, sigma, num_lags, kernel)  # type: ignore


class _SoftKernel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, delay: Tensor, sigma: Tensor, num_lags: int, kernel: Kernel
    ) -> Tensor:
        ctx.save_for_backward(weight, delay, sigma)
        ctx.kernel = kernel
        if loops := gaussian_loops(weight, kernel):
            return loops.dense_kernel(weight, delay, sigma, num_lags)  # type: ignore[no-any-return]
        dense = recycled((num_lags, *weight.shape[:-1]), weight.dtype, weight.device)
        for rows in _groups(weight, num_lags):
            height = kernel.shape(distances(delay[rows], num_lags), sigma)
            height *= weight[rows] / (height.sum(dim=0) + EPSILON)
            torch.sum(height, dim=-1, out=dense[:, rows])
        return dense

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        weight, delay, sigma = ctx.saved_tensors
        if loops := gaussian_loops(weight, ctx.kernel):
            grad_weight, grad_delay = loops.grads(grad, weight, delay, sigma)
            return grad_weight, grad_delay if ctx.needs_input_grad[1] else None, None, None, None
        grad_weight, grad_delay = torch.empty_like(weight), torch.empty_like(delay)
        for rows in _groups(weight, len(grad)):
            distance, above = distances(delay[rows], len(grad)), grad[:, rows, :, None]
            height = ctx.kernel.shape(distance, sigma)
            slope = ctx.kernel.slope(distance, sigma, height)
            total = height.sum(dim=0) + EPSILON
            lost = slope.sum(dim=0)  # to normalising
            torch.div(height.mul_(above).sum(dim=0), total, out=grad_weight[rows])
            centred = slope.mul_(above).sum(dim=0) - grad_weight[rows] * lost
            torch.mul(weight[rows], centred / total, out=grad_delay[rows])
        return grad_weight, grad_delay if ctx.needs_input_grad[1] else None, None, None, None


def _groups(weight: Tensor, num_lags: int) -> list[slice]:
    size = max(1, GROUP_SIZE // (num_lags * weight[0].numel()))
    return [slice(first, first + size) for first in range(0, len(weight), size)]
