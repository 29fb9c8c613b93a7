r"""Spikes, and the smooth slope that stands in for their derivative.

A neuron spikes where its excess over threshold, :math:`x = v - \vartheta`, is not negative. The derivative
of that step is zero almost everywhere; backpropagation uses a bump around the threshold instead.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from lit_delays.errors import InputError


class Surrogate(ABC):
    """A derivative for the step function."""

    @abstractmethod
    def derivative(self, excess: Tensor) -> Tensor:
        """Stand-in for the derivative at ``excess = v - threshold``, same shape."""


class Positive:
    """A dataclass whose numbers must all be above 0."""

    def __post_init__(self) -> None:
        for option in fields(self):  # type: ignore[arg-type]
            require_positive(option.name, getattr(self, option.name))


@dataclass(frozen=True)
class ATan(Positive, Surrogate):
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
class FastSigmoid(Positive, Surrogate):
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
class Triangle(Positive, Surrogate):
    r"""A triangle, :math:`c \max(0, 1 - \alpha |x|)`.

    Args:
        slope: One over the half-width, :math:`\alpha`, above 0.
        scale: Height :math:`c`, above 0. As high as the slope, its area is 1, whatever its width: the
            derivative of a step that is smoothed.

    Source:
        Bellec et al. (2018), https://arxiv.org/abs/1803.09574, where c damps it. Deng et al. (2022),
        https://arxiv.org/abs/2202.11946, with ``scale`` the same as ``slope``.

    Example:
        >>> Triangle(slope=1.0).derivative(torch.tensor([0.0, 0.5, 2.0]))
        tensor([1.0000, 0.5000, 0.0000])
    """

    slope: float = 1.0
    scale: float = 1.0

    def derivative(self, excess: Tensor) -> Tensor:  # noqa: D102
        return torch.relu(1 - self.slope * excess.abs()).mul_(self.scale)


@dataclass(frozen=True)
class Boxcar(Positive, Surrogate):
    r"""A box: 1 for :math:`-h < x \le h`, 0 elsewhere.

    Args:
        half_width: :math:`h`, above 0.

    Source:
        Kaiser et al. (2020), https://arxiv.org/abs/1811.10766, as in the code of adaptive neurons for speech.

    Example:
        >>> Boxcar().derivative(torch.tensor([-0.5, 0.5, 0.6]))
        tensor([0., 1., 0.])
    """

    half_width: float = 0.5

    def derivative(self, excess: Tensor) -> Tensor:  # noqa: D102
        return ((excess > -self.half_width) & (excess <= self.half_width)).to(excess.dtype)


@dataclass(frozen=True)
class SLAYER(Positive, Surrogate):
    r"""An exponential on both sides, :math:`\frac{c \alpha}{2} e^{-\alpha |x|}`.

    Args:
        slope: Steepness :math:`\alpha`, above 0.
        scale: Scale :math:`c`, above 0.

    Source:
        Shrestha and Orchard (2018), https://arxiv.org/abs/1810.08646, as used for SE-adLIF neurons.

    Example:
        >>> SLAYER().derivative(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.0067])
    """

    slope: float = 5.0
    scale: float = 0.4

    def derivative(self, excess: Tensor) -> Tensor:  # noqa: D102
        return (self.scale * self.slope / 2) * excess.abs().mul_(-self.slope).exp_()


def require_positive(name: str, value: float) -> None:
    """Refuse a value that is not above 0.

    Raises:
        InputError: If it is not.
    """
    if not 0 < value < math.inf:
        raise InputError(f"`{name}` must be above 0, got {value:g}.")


def spike(excess: Tensor, surrogate: Surrogate, strict: bool = False) -> Tensor:
    """Ones where ``excess`` is not negative, zeros elsewhere; differentiable through the surrogate.

    Args:
        excess: Voltage above the threshold, any shape.
        surrogate: Stand-in for the derivative.
        strict: Whether a neuron right at its threshold stays silent.

    Example:
        >>> spike(torch.tensor([-0.1, 0.0, 0.1]), ATan()), spike(torch.zeros(1), ATan(), strict=True)
        (tensor([0., 1., 1.]), tensor([0.]))
    """
    if not excess.requires_grad and not torch._C._are_functorch_transforms_active():
        return is_above(excess, strict)
    return _Spike.apply(excess, surrogate, strict)  # type: ignore[no-any-return, no-untyped-call]


def derivative(surrogate: Surrogate, excess: Tensor) -> Tensor:
    """The stand-in, of the type of ``excess``: one may answer in True and False."""
    return surrogate.derivative(excess).to(excess.dtype)


def is_above(excess: Tensor, strict: bool) -> Tensor:
    """Ones and zeros of the type of ``excess``."""
    return (excess > 0 if strict else excess >= 0).to(excess.dtype)


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(excess: Tensor, surrogate: Surrogate, strict: bool) -> Tensor:
        return is_above(excess, strict)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Surrogate, bool], output: Tensor) -> None:
        excess, ctx.surrogate, _ = inputs
        ctx.save_for_backward(excess)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (excess,) = ctx.saved_tensors
        return grad * derivative(ctx.surrogate, excess), None, None
