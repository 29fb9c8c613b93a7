r"""How the weight of one synapse is spread over the time steps around its delay.

A kernel turns a delay :math:`d` and a width :math:`\sigma` into taps, one per lag
:math:`k = 0 \dots K-1`, which sum to one inside the window:

.. math:: \mathrm{taps}_k = \frac{g_k}{\sum_j g_j + \epsilon}, \qquad g_k = g\!\left(\frac{k-d}{\sigma}\right)

``sigma`` is the standard deviation of every shape, in time steps, so kernels compare at equal width.
Shape letters: K lags (= ``max_delay``); ``...`` is the shape of the delays, one per synapse.

Source:
    Hammouamri et al. (2023), https://arxiv.org/abs/2306.17670, Eq. 6 and 7. The paper's reference code
    stores ``sigma - 0.27`` for the Gaussian and ``width - 1`` for the triangle; both are true widths here.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from lit_delays.snn.eager import uncompiled
from lit_delays.snn.recycled import recycled

KernelName = Literal["gaussian", "triangle", "laplace"]

GROUP_SIZE = 2**17  # taps made at once: half a megabyte in float32
EPSILON = 1e-7  # the reference's guard against a window that holds none of the kernel
SQRT_2 = math.sqrt(2.0)
TRIANGLE_HALF_WIDTH = math.sqrt(6.0)  # in standard deviations
INTERPOLATION = 1 / TRIANGLE_HALF_WIDTH  # sigma of the triangle that interpolates linearly between two lags


def gaussian(delay: Tensor, sigma: Tensor, max_delay: int) -> Tensor:
    r"""Taps of a Gaussian, :math:`g(z) = e^{-z^2/2}`.

    Args:
        delay: Delays in time steps, any shape ``(...)``.
        sigma: Standard deviation in time steps, a scalar above 0.
        max_delay: Number of lags ``K``.

    Returns:
        Taps of shape ``(K, ...)``; entry ``k`` weighs the input ``k`` steps ago.

    Example:
        >>> gaussian(torch.tensor([1.0]), torch.tensor(0.5), max_delay=3).flatten()
        tensor([0.1065, 0.7870, 0.1065])
    """
    return _normalise(_gaussian(_distance(delay, max_delay), sigma))


def triangle(delay: Tensor, sigma: Tensor, max_delay: int) -> Tensor:
    r"""Taps of a triangle, :math:`g(z) = \max(0, 1 - |z|/\sqrt{6})`.

    At ``sigma = 1/sqrt(6) = 0.408`` its half-width is one step: linear interpolation between the two
    nearest lags, exact at integer delays. Narrower ones could fall between two lags.

    Args:
        delay: Delays in time steps, any shape ``(...)``.
        sigma: Standard deviation in time steps, a scalar of at least 0.408.
        max_delay: Number of lags ``K``.

    Returns:
        Taps of shape ``(K, ...)``.

    Example:
        >>> triangle(torch.tensor([1.25]), torch.tensor(INTERPOLATION), max_delay=4).flatten()
        tensor([0.0000, 0.7500, 0.2500, 0.0000])
    """
    return _normalise(_triangle(_distance(delay, max_delay), sigma))


def laplace(delay: Tensor, sigma: Tensor, max_delay: int) -> Tensor:
    r"""Taps of a Laplace distribution, :math:`g(z) = e^{-\sqrt{2}\,|z|}`: a sharp peak with heavy tails.

    Args:
        delay: Delays in time steps, any shape ``(...)``.
        sigma: Standard deviation in time steps, a scalar above 0.
        max_delay: Number of lags ``K``.

    Returns:
        Taps of shape ``(K, ...)``. At the peak, where there is no derivative, the gradient takes 0.

    Example:
        >>> laplace(torch.tensor([1.0]), torch.tensor(0.5), max_delay=3).flatten()
        tensor([0.0529, 0.8943, 0.0529])
    """
    return _normalise(_laplace(_distance(delay, max_delay), sigma))


def one_tap(delay: Tensor, max_delay: int) -> Tensor:
    """Taps of the deployed network: the whole weight at the nearest lag.

    Args:
        delay: Delays in time steps, any shape ``(...)``; rounded half to even, as the reference does.
        max_delay: Number of lags ``K``.

    Returns:
        Zeros and one 1 per synapse, shape ``(K, ...)``, in the dtype of ``delay``.

    Example:
        >>> one_tap(torch.tensor([1.7]), max_delay=4).flatten()
        tensor([0., 0., 1., 0.])
    """
    return (_distance(delay.round(), max_delay) == 0).to(delay.dtype)


@uncompiled
def soft_kernel(weight: Tensor, delay: Tensor, sigma: Tensor, max_delay: int, name: KernelName) -> Tensor:
    r"""Weight of every lag in training: each synapse's weight, spread around its delay.

    .. math:: \kappa_k = \sum_s w_s\,\mathrm{taps}_k(d_s, \sigma), \qquad
              \frac{\partial\,\mathrm{taps}_k}{\partial d} = t'_k - \mathrm{taps}_k \sum_j t'_j, \qquad
              t'_k = \frac{\partial g_k / \partial d}{\sum_j g_j + \epsilon}

    The gradients are written by hand: they make the taps again instead of keeping them, and normalise sums
    over lags, not every lag.

    Args:
        weight: Weights, shape ``(O, I, S)``.
        delay: Delays in time steps, shape ``(O, I, S)``.
        sigma: Standard deviation in time steps, a scalar without gradient.
        max_delay: Number of lags ``K``.
        name: Shape of the kernel.

    Returns:
        Dense kernel, shape ``(K, O, I)``.

    Example:
        >>> weight, delay = torch.full((1, 1, 1), 2.0), torch.ones(1, 1, 1)
        >>> soft_kernel(weight, delay, torch.tensor(0.5), 3, "gaussian").flatten()
        tensor([0.2130, 1.5740, 0.2130])
    """
    return _SoftKernel.apply(weight, delay, sigma, max_delay, name)  # type: ignore


class _SoftKernel(torch.autograd.Function):
    """Goes through the neurons in groups whose taps fit into the processor's cache."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, delay: Tensor, sigma: Tensor, max_delay: int, name: KernelName
    ) -> Tensor:
        ctx.save_for_backward(weight, delay, sigma)
        ctx.name = name
        kernel = recycled((max_delay, *weight.shape[:-1]), weight.dtype, weight.device)
        for rows in _groups(weight, max_delay):
            bump = SHAPES[name](_distance(delay[rows], max_delay), sigma)
            bump *= weight[rows] / (bump.sum(dim=0) + EPSILON)
            torch.sum(bump, dim=-1, out=kernel[:, rows])
        return kernel

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        weight, delay, sigma = ctx.saved_tensors
        grad_weight, grad_delay = torch.empty_like(weight), torch.empty_like(delay)
        for rows in _groups(weight, len(grad)):
            distance, above = _distance(delay[rows], len(grad)), grad[:, rows, :, None]
            bump = SHAPES[ctx.name](distance, sigma)
            slope = SLOPES[ctx.name](distance, sigma, bump)
            total = bump.sum(dim=0) + EPSILON
            lost = slope.sum(dim=0)  # to normalising
            torch.div(bump.mul_(above).sum(dim=0), total, out=grad_weight[rows])
            centred = slope.mul_(above).sum(dim=0) - grad_weight[rows] * lost
            torch.mul(weight[rows], centred / total, out=grad_delay[rows])
        return grad_weight, grad_delay if ctx.needs_input_grad[1] else None, None, None, None


def _groups(weight: Tensor, max_delay: int) -> list[slice]:
    size = max(1, GROUP_SIZE // (max_delay * weight[0].numel()))
    return [slice(first, first + size) for first in range(0, len(weight), size)]


def deployed_kernel(weight: Tensor, delay: Tensor, max_delay: int) -> Tensor:
    """Weight of every lag in the deployed network: all of it at the nearest one.

    Args:
        weight: Weights, shape ``(O, I, S)``.
        delay: Delays in time steps, shape ``(O, I, S)``; rounded half to even, as the reference does.
        max_delay: Number of lags ``K``.

    Returns:
        Dense kernel, shape ``(K, O, I)``, of one tap per synapse.

    Example:
        >>> deployed_kernel(torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 1.7), max_delay=4).flatten()
        tensor([0.0000, 0.0000, 0.5000, 0.0000])
    """
    lag = delay.round().long()
    kernel = weight.new_zeros(max_delay, *weight.shape[:-1])
    return kernel.scatter_add(0, lag.movedim(-1, 0), weight.movedim(-1, 0))


KERNELS: dict[KernelName, Callable[[Tensor, Tensor, int], Tensor]] = {
    "gaussian": gaussian,
    "triangle": triangle,
    "laplace": laplace,
}


def _gaussian(distance: Tensor, sigma: Tensor) -> Tensor:
    return distance.square().mul_(-0.5 / sigma**2).exp_()


def _triangle(distance: Tensor, sigma: Tensor) -> Tensor:
    return torch.relu(TRIANGLE_HALF_WIDTH * sigma - distance.abs())


def _laplace(distance: Tensor, sigma: Tensor) -> Tensor:
    return distance.abs().mul_(-SQRT_2 / sigma).exp_()


SHAPES: dict[KernelName, Callable[[Tensor, Tensor], Tensor]] = {
    "gaussian": _gaussian,
    "triangle": _triangle,
    "laplace": _laplace,
}

# of each shape with respect to the delay, given the distance of every lag and the shape there
SLOPES: dict[KernelName, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gaussian": lambda distance, sigma, bump: (bump * distance).mul_(1 / sigma**2),
    "triangle": lambda distance, sigma, bump: distance.sign().mul_(bump > 0),
    "laplace": lambda distance, sigma, bump: distance.sign().mul_(bump).mul_(SQRT_2 / sigma),
}


def _distance(delay: Tensor, max_delay: int) -> Tensor:
    lags = torch.arange(max_delay, dtype=delay.dtype, device=delay.device)
    return lags.view(-1, *[1] * delay.ndim) - delay


def _normalise(bump: Tensor) -> Tensor:
    return bump / (bump.sum(dim=0) + EPSILON)
