r"""Spikes, and the smooth slope that stands in for their derivative.

A neuron spikes where its excess over threshold, :math:`x = v - \vartheta`, is not negative. The derivative
of that step is zero almost everywhere; backpropagation uses a bump around the threshold instead.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from lit_delays.errors import InputError

SurrogateName = Literal["atan", "fast_sigmoid", "triangle"]


class Surrogate(Protocol):
    """A derivative for the step function."""

    def derivative(self, excess: Tensor) -> Tensor:
        """Stand-in for the derivative at ``excess = v - threshold``, same shape."""
        ...


@dataclass(frozen=True)
class ATan:
    r"""Slope of an arctangent, :math:`\frac{\alpha/2}{1 + (\frac{\pi}{2} \alpha x)^2}`.

    Args:
        slope: Steepness :math:`\alpha`, above 0.

    Source:
        Fang et al. (2021), https://arxiv.org/abs/2007.05785; the paper's surrogate, with alpha = 5.

    Example:
        >>> ATan(slope=5.0).derivative(torch.tensor([0.0, 1.0]))
        tensor([2.5000, 0.0399])
    """

    slope: float = 5.0

    def derivative(self, excess: Tensor) -> Tensor:  # noqa: D102
        return (self.slope / 2) / (1 + (torch.pi / 2 * self.slope * excess) ** 2)


@dataclass(frozen=True)
class FastSigmoid:
    r"""Slope of a fast sigmoid, :math:`1 / (1 + \alpha |x|)^2`.

    Args:
        slope: Steepness :math:`\alpha`, above 0.

    Source:
        Zenke and Ganguli (2018), https://arxiv.org/abs/1705.11146.

    Example:
        >>> FastSigmoid(slope=1.0).derivative(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.2500])
    """

    slope: float = 5.0

    def derivative(self, excess: Tensor) -> Tensor:  # noqa: D102
        return 1 / (1 + self.slope * excess.abs()) ** 2


@dataclass(frozen=True)
class Triangle:
    r"""A triangle, :math:`\max(0, 1 - \alpha |x|)`.

    Args:
        slope: One over the half-width, :math:`\alpha`, above 0.

    Source:
        Bellec et al. (2018), https://arxiv.org/abs/1803.09574, without their damping factor.

    Example:
        >>> Triangle(slope=1.0).derivative(torch.tensor([0.0, 0.5, 2.0]))
        tensor([1.0000, 0.5000, 0.0000])
    """

    slope: float = 1.0

    def derivative(self, excess: Tensor) -> Tensor:  # noqa: D102
        return torch.relu(1 - self.slope * excess.abs())


SURROGATES: dict[SurrogateName, type[ATan] | type[FastSigmoid] | type[Triangle]] = {
    "atan": ATan,
    "fast_sigmoid": FastSigmoid,
    "triangle": Triangle,
}


def make_surrogate(name: SurrogateName, slope: float) -> Surrogate:
    """Return the surrogate of this name and steepness.

    Raises:
        InputError: If ``slope`` is not positive.
    """
    if slope <= 0:
        raise InputError(f"`surrogate_slope` must be above 0, got {slope}.")
    return SURROGATES[name](slope)


def spike(excess: Tensor, surrogate: Surrogate) -> Tensor:
    """Ones where ``excess`` is not negative, zeros elsewhere; differentiable through the surrogate.

    Example:
        >>> spike(torch.tensor([-0.1, 0.0, 0.1]), ATan())
        tensor([0., 1., 1.])
    """
    return _Spike.apply(excess, surrogate)  # type: ignore[no-any-return, no-untyped-call]


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, excess: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(excess)
        ctx.surrogate = surrogate
        return (excess >= 0).to(excess.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (excess,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(excess), None
