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
from typing import Literal

import torch
from torch import Tensor

KernelName = Literal["gaussian", "triangle"]

EPSILON = 1e-7  # the reference's guard against a window that holds none of the kernel
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
    distance = (_lags(delay, max_delay) - delay) / sigma
    return _normalise(torch.exp(-0.5 * distance**2))


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
    distance = (_lags(delay, max_delay) - delay).abs()
    return _normalise(torch.relu(TRIANGLE_HALF_WIDTH * sigma - distance))


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
    return (_lags(delay, max_delay) == delay.round()).to(delay.dtype)


KERNELS: dict[KernelName, Callable[[Tensor, Tensor, int], Tensor]] = {
    "gaussian": gaussian,
    "triangle": triangle,
}


def _lags(delay: Tensor, max_delay: int) -> Tensor:
    lags = torch.arange(max_delay, dtype=delay.dtype, device=delay.device)
    return lags.view(-1, *[1] * delay.ndim)


def _normalise(taps: Tensor) -> Tensor:
    return taps / (taps.sum(dim=0) + EPSILON)
