"""Leaky integrate-and-fire neurons with adaptation, of two families of papers."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lit_delays.snn.neurons.two_states import Coefficients, TwoStateNeuron, check_range
from lit_delays.snn.surrogates import Boxcar, Surrogate


class AdLIF(TwoStateNeuron):
    r"""Adaptive leaky integrate-and-fire neurons with a soft reset.

    .. math:: w = \beta w' + a u' + b z', \qquad u = \alpha (u' - z') + (1-\alpha)(I - w), \qquad
              z = \Theta(u - 1)

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Range of the membrane time constants, in ms, at least one time step; each neuron starts
            anywhere in it, :math:`\alpha = e^{-\Delta t/\tau}`, and stays inside.
        tau_adapt_ms: The same of the adaptation, :math:`\beta`.
        a: Range of the coupling of the adaptation to the potential.
        b: Range of the jump of the adaptation at a spike.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        Bittar and Garner (2022), https://doi.org/10.3389/fnins.2022.865897, whose ranges are in steps, here
        of 4 ms. Their code starts from random states, which makes accuracy random: here from rest. It clamps
        in the forward pass, here after each optimiser step, so that no parameter gets stuck outside.

    Example:
        >>> import torch
        >>> AdLIF(8, 4.0)(torch.zeros(50, 1, 8)).sum()  # no current, no spikes
        tensor(0., grad_fn=<SumBackward0>)
    """

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: tuple[float, float] = (20.0, 100.0),
        tau_adapt_ms: tuple[float, float] = (120.0, 480.0),
        a: tuple[float, float] = (-1.0, 1.0),
        b: tuple[float, float] = (0.0, 2.0),
        surrogate: Callable[[], Surrogate] = Boxcar,
    ) -> None:
        super().__init__(num_neurons, time_step_ms, tau_mem_ms, surrogate)
        check_range("tau_adapt_ms", tau_adapt_ms, time_step_ms)
        for name, times in (("alpha", tau_mem_ms), ("beta", tau_adapt_ms)):
            low, high = (math.exp(-time_step_ms / tau) for tau in times)
            self.learn(name, low, high)
        self.learn("a", *check_range("a", a))
        self.learn("b", *check_range("b", b))

    alpha: Tensor
    beta: Tensor
    a: Tensor
    b: Tensor

    @torch.no_grad()
    def learned_times_ms(self) -> dict[str, Tensor]:  # noqa: D102
        step_ms = self.grid.time_step_ms
        return {"membrane": -step_ms / self.alpha.log(), "adaptation": -step_ms / self.beta.log()}

    def coefficients(self) -> Coefficients:  # noqa: D102
        return soft_reset_coefficients(self.alpha, self.beta, self.a, self.b)


class CAdLIF(AdLIF):
    r"""Constrained :class:`AdLIF`: the coupling keeps its sign, so that the neuron is stable.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Range of the membrane time constants, in ms, at least one time step.
        tau_adapt_ms: The same of the adaptation.
        a: Range of the coupling of the adaptation to the potential.
        b: Range of the jump of the adaptation at a spike.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        Deckers et al. (2024), https://doi.org/10.3389/fnins.2024.1360300, with the ranges that Fabre et al.
        (2025), https://arxiv.org/abs/2506.06374, use in steps of 4 ms.
    """

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: tuple[float, float] = (4.0, 100.0),
        tau_adapt_ms: tuple[float, float] = (100.0, 400.0),
        a: tuple[float, float] = (0.0, 1.0),
        b: tuple[float, float] = (0.0, 2.0),
        surrogate: Callable[[], Surrogate] = Boxcar,
    ) -> None:
        super().__init__(
            num_neurons,
            time_step_ms,
            tau_mem_ms=tau_mem_ms,
            tau_adapt_ms=tau_adapt_ms,
            a=a,
            b=b,
            surrogate=surrogate,
        )


def soft_reset_coefficients(alpha: Tensor, beta: Tensor, a: Tensor, b: Tensor) -> Coefficients:
    """Coefficients of an adaptive neuron with a soft reset: the new adaptation acts at once."""
    drive = 1 - alpha
    return Coefficients(
        uu=alpha - drive * a, uw=-drive * beta, uz=-alpha - drive * b, ui=drive, wu=a, ww=beta, wz=b
    )
