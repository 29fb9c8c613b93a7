r"""How the weight of one synapse is spread over the time steps around its delay.

A kernel turns a delay :math:`d` and a width :math:`\sigma` into taps, one per lag
:math:`k = 0 \dots K-1`, which sum to one inside the window:

.. math:: \mathrm{taps}_k = \frac{g_k}{\sum_j g_j + \epsilon}, \qquad g_k = g\!\left(\frac{k-d}{\sigma}\right)

``sigma`` is the standard deviation of every shape, in time steps, so kernels compare at equal width.
Shape letters: K lags; O outputs, I inputs, S synapses per pair; ``...`` is the shape of the delays.

Source:
    Hammouamri et al. (2023), https://arxiv.org/abs/2306.17670, Eq. 6 and 7. The paper's reference code
    stores ``sigma - 0.27`` for the Gaussian and ``width - 1`` for the triangle; both are true widths here.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from lit_delays.snn.operation import Operation

EPSILON = 1e-7  # the reference's guard against a window that holds none of the kernel
SQRT_2 = math.sqrt(2.0)
TRIANGLE_HALF_WIDTH = math.sqrt(6.0)  # in standard deviations
INTERPOLATION = 1 / TRIANGLE_HALF_WIDTH  # sigma of the triangle that interpolates linearly between two lags


class Kernel(ABC):
    """A shape around a delay, of one standard deviation.

    Attributes:
        min_sigma: Narrowest width, in time steps, that cannot fall between two lags.
    """

    min_sigma: ClassVar[float] = 0.0

    @abstractmethod
    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:
        """Height, up to a factor, at a distance ``lag - delay`` in time steps; same shape as ``distance``."""

    @abstractmethod
    def slope(self, distance: Tensor, sigma: Tensor, shape: Tensor) -> Tensor:
        """Derivative of :meth:`shape` with respect to the delay, given what :meth:`shape` gave."""

    def reach(self, sigma: Tensor) -> Tensor:
        """How far from its delay a kernel still counts, in time steps."""
        return 3 * sigma

    def taps(self, delay: Tensor, sigma: Tensor, num_lags: int) -> Tensor:
        """Weight of every lag around delays of any shape ``(...)`` in time steps; shape ``(K, ...)``.

        The width is one for all, or broadcasts to the delays, and may be learned.
        """
        distance = distances(delay, num_lags)
        if sigma.requires_grad:  # shapes are the same in units of sigma
            distance, sigma = distance / sigma, torch.ones_like(sigma)
        height = self.shape(distance, sigma)
        return height / (height.sum(dim=0) + EPSILON)


class Gaussian(Kernel):
    r"""A Gaussian, :math:`g(z) = e^{-z^2/2}`.

    Example:
        >>> Gaussian().taps(torch.tensor([1.0]), torch.tensor(0.5), num_lags=3).flatten()
        tensor([0.1065, 0.7870, 0.1065])
    """

    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:  # noqa: D102
        return distance.square().mul_(-0.5 / sigma**2).exp_()

    def slope(self, distance: Tensor, sigma: Tensor, shape: Tensor) -> Tensor:  # noqa: D102
        return (shape * distance).mul_(1 / sigma**2)


class Triangle(Kernel):
    r"""A triangle, :math:`g(z) = \max(0, 1 - |z|/\sqrt{6})`.

    At ``sigma = 1/sqrt(6) = 0.408`` its half-width is one step: linear interpolation between the two
    nearest lags, exact at integer delays. Narrower ones could fall between two lags.

    Example:
        >>> Triangle().taps(torch.tensor([1.25]), torch.tensor(INTERPOLATION), num_lags=4).flatten()
        tensor([0.0000, 0.7500, 0.2500, 0.0000])
    """

    min_sigma: ClassVar[float] = INTERPOLATION

    def reach(self, sigma: Tensor) -> Tensor:  # noqa: D102
        return TRIANGLE_HALF_WIDTH * sigma

    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:  # noqa: D102
        return torch.relu(TRIANGLE_HALF_WIDTH * sigma - distance.abs())

    def slope(self, distance: Tensor, sigma: Tensor, shape: Tensor) -> Tensor:  # noqa: D102
        return distance.sign().mul_(shape > 0)


class DelRecTriangle(Kernel):
    r"""A triangle of half-width :math:`1 + \sigma`: :math:`\max(0, 1 + \sigma - |k - d|) / (1 + \sigma)^2`.

    The published kernel of recurrent delays. Its standard deviation is not ``sigma`` but
    :math:`(1 + \sigma) / \sqrt{6}`, and its taps sum to one at whole delays and widths alone: what lies
    before lag 0 is lost. At ``sigma = 0`` it interpolates linearly between two lags.

    Source:
        Queant et al. (2025), https://arxiv.org/abs/2509.24852.

    Example:
        >>> DelRecTriangle().taps(torch.tensor([1.25]), torch.tensor(0.0), num_lags=4).flatten()
        tensor([0.0000, 0.7500, 0.2500, 0.0000])
    """

    def reach(self, sigma: Tensor) -> Tensor:  # noqa: D102
        return 1 + sigma

    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:  # noqa: D102
        return (1 + sigma - distance.abs()).clamp(min=0)  # whose gradient at its foot is that of its inside

    def slope(self, distance: Tensor, sigma: Tensor, shape: Tensor) -> Tensor:  # noqa: D102
        return distance.sign() * (distance.abs() <= 1 + sigma)

    def taps(self, delay: Tensor, sigma: Tensor, num_lags: int) -> Tensor:  # noqa: D102
        return self.shape(distances(delay, num_lags), sigma) / (1 + sigma) ** 2


class Laplace(Kernel):
    r"""A Laplace distribution, :math:`g(z) = e^{-\sqrt{2}\,|z|}`: a sharp peak with heavy tails.

    At the peak, where there is no derivative, the gradient takes 0.

    Example:
        >>> Laplace().taps(torch.tensor([1.0]), torch.tensor(0.5), num_lags=3).flatten()
        tensor([0.0529, 0.8943, 0.0529])
    """

    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:  # noqa: D102
        return distance.abs().mul_(-SQRT_2 / sigma).exp_()

    def slope(self, distance: Tensor, sigma: Tensor, shape: Tensor) -> Tensor:  # noqa: D102
        return distance.sign().mul_(shape).mul_(SQRT_2 / sigma)


def distances(delay: Tensor, num_lags: int) -> Tensor:
    """``lag - delay`` for every lag, shape ``(K, ...)``."""
    lags = torch.arange(num_lags, dtype=delay.dtype, device=delay.device)
    return lags.view(-1, *[1] * delay.ndim) - delay


@Operation
def soft_kernel(weight: Tensor, delay: Tensor, sigma: Tensor, num_lags: int, kernel: Kernel) -> Tensor:
    r"""Weight of every lag in training: each synapse's weight, spread around its delay.

    .. math:: \kappa_k = \sum_s w_s\,\mathrm{taps}_k(d_s, \sigma)

    Args:
        weight: Weights, shape ``(O, I, S)``.
        delay: Delays in time steps, shape ``(O, I, S)``.
        sigma: Standard deviation in time steps, a scalar without gradient.
        num_lags: Number of lags ``K``.
        kernel: Shape of the kernel.

    Returns:
        Dense kernel, shape ``(K, O, I)``.

    Example:
        >>> weight, delay = torch.full((1, 1, 1), 2.0), torch.ones(1, 1, 1)
        >>> soft_kernel(weight, delay, torch.tensor(0.5), 3, Gaussian()).flatten()
        tensor([0.2130, 1.5740, 0.2130])
    """
    return (weight * kernel.taps(delay, sigma, num_lags)).sum(dim=-1)


def one_tap_kernel(weight: Tensor, delay: Tensor, num_lags: int) -> Tensor:
    """Weight of every lag in the deployed network: all of it at the nearest one.

    Args:
        weight: Weights, shape ``(O, I, S)``.
        delay: Delays in time steps, shape ``(O, I, S)``; rounded half to even, as the reference does.
        num_lags: Number of lags ``K``.

    Returns:
        Dense kernel, shape ``(K, O, I)``, of one tap per synapse.

    Example:
        >>> one_tap_kernel(torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 1.7), num_lags=4).flatten()
        tensor([0.0000, 0.0000, 0.5000, 0.0000])
    """
    lag = delay.round().long() if delay.is_floating_point() else delay.long()
    kernel = weight.new_zeros(num_lags, *weight.shape[:-1])
    return kernel.scatter_add(0, lag.movedim(-1, 0), weight.movedim(-1, 0))
