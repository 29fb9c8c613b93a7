"""Adaptive neurons that learn their time constants as state-space models do."""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lit_delays.snn.neurons.adlif import soft_reset_coefficients
from lit_delays.snn.neurons.two_states import Coefficients, TwoStateNeuron, check_range
from lit_delays.snn.surrogates import Boxcar, Surrogate


class SiLIF(TwoStateNeuron):
    r"""Adaptive neurons with learned rates and a learned time step.

    .. math:: w = \beta w' + a u' + b z', \qquad u = \alpha (u' - z') + (1-\alpha)(I - w), \qquad
              z = \Theta(u - 1), \qquad \alpha = e^{-e^A e^D}, \qquad \beta = e^{-e^B e^D}

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms, at which :math:`e^D` starts.
        tau_mem_ms: Range at the start of the membrane time constants, in ms, at least one time step;
            :math:`e^A` is the rate, one over it.
        tau_adapt_ms: The same of the adaptation, :math:`e^B`.
        a: Range of the coupling of the adaptation to the potential, which it keeps.
        b: Range of the jump of the adaptation at a spike, which it keeps.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        Fabre et al. (2025), https://arxiv.org/abs/2506.06374; their code starts from random states, here from
        rest.

    Example:
        >>> import torch
        >>> SiLIF(8, 4.0)(torch.zeros(50, 1, 8)).sum()  # no current, no spikes
        tensor(0., grad_fn=<SumBackward0>)
    """

    log_rate_u: Tensor
    log_rate_w: Tensor
    log_dt: Tensor
    a: Tensor
    b: Tensor

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
        super().__init__(num_neurons, time_step_ms, tau_mem_ms, surrogate)
        check_range("tau_adapt_ms", tau_adapt_ms, time_step_ms)
        for name, (shortest, longest) in (("log_rate_u", tau_mem_ms), ("log_rate_w", tau_adapt_ms)):
            self.learn(name, math.log(1000 / longest), math.log(1000 / shortest), stays=False)
        self.learn("log_dt", *2 * (math.log(time_step_ms / 1000),), stays=False)
        self.learn("a", *check_range("a", a))
        self.learn("b", *check_range("b", b))

    @torch.no_grad()
    def learned_times_ms(self) -> dict[str, Tensor]:  # noqa: D102
        rates = {"membrane": self.log_rate_u, "adaptation": self.log_rate_w}
        return {name: self.grid.time_step_ms * (-rate - self.log_dt).exp() for name, rate in rates.items()}

    def coefficients(self) -> Coefficients:  # noqa: D102
        step = self.log_dt.exp()
        alpha, beta = ((-rate.exp() * step).exp() for rate in (self.log_rate_u, self.log_rate_w))
        return soft_reset_coefficients(alpha, beta, self.a, self.b)


class CSiLIF(TwoStateNeuron):
    r"""Neurons with a complex potential: damped oscillators that spike.

    .. math:: u = \alpha (u' - z'/2) + c I, \qquad z = \Theta(2\,\mathrm{Re}\,u - 1), \qquad
              \alpha = e^{e^D (-e^L + i\omega)}

    The second state is the imaginary part.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms; what is learned is free of it, as in the paper.
        tau_mem_ms: Range at the start of the decay times, in ms, at least one time step: with the damping
            :math:`e^L = 1/2` a time constant is two steps over :math:`e^D`.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        Fabre et al. (2025), https://arxiv.org/abs/2506.06374: :math:`L = \ln 1/2`, :math:`\omega = \pi`,
        :math:`c \sim U(0, 1)`, :math:`D \sim U(\ln 0.01, \ln 0.5)` (SHD) in steps of 4 ms, all learned; their
        code starts from random states, here from rest.

    Example:
        >>> import torch
        >>> CSiLIF(8, 4.0)(torch.zeros(50, 1, 8)).sum()  # no current, no spikes
        tensor(0., grad_fn=<SumBackward0>)
    """

    gain: ClassVar[float] = 2.0
    log_damping: Tensor
    frequency: Tensor
    log_dt: Tensor
    b: Tensor

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: tuple[float, float] = (16.0, 800.0),
        surrogate: Callable[[], Surrogate] = Boxcar,
    ) -> None:
        super().__init__(num_neurons, time_step_ms, tau_mem_ms, surrogate)
        self.learn("log_damping", *2 * (math.log(0.5),), stays=False)
        self.learn("frequency", math.pi, math.pi, stays=False)
        shortest, longest = tau_mem_ms
        scale = 2 * time_step_ms
        self.learn("log_dt", math.log(scale / longest), math.log(scale / shortest), stays=False)
        self.learn("b", 0.0, 1.0, stays=False)

    @torch.no_grad()
    def learned_times_ms(self) -> dict[str, Tensor]:
        """The decay of an oscillation, and its period."""
        steps = {
            "membrane": (-self.log_damping - self.log_dt).exp(),
            "period": 2 * math.pi / self.frequency.abs() * (-self.log_dt).exp(),
        }
        return {name: self.grid.time_step_ms * it for name, it in steps.items()}

    def coefficients(self) -> Coefficients:  # noqa: D102
        step = self.log_dt.exp()
        size, angle = (-self.log_damping.exp() * step).exp(), self.frequency * step
        real, imaginary = size * angle.cos(), size * angle.sin()
        return Coefficients(
            uu=real, uw=-imaginary, uz=-real / 2, ui=self.b, wu=imaginary, ww=real, wz=-imaginary / 2
        )
