"""Adaptive neurons with a hard reset, discretised in two ways."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lit_delays.snn.neurons.two_states import Coefficients, TwoStateNeuron, check_range
from lit_delays.snn.surrogates import SLAYER, Surrogate, require_positive


class EFAdLIF(TwoStateNeuron):
    r"""Adaptive leaky integrate-and-fire neurons, by the forward Euler method.

    .. math:: \tilde u = \alpha u' + (1-\alpha)(I - w'), \qquad z = \Theta(\tilde u - 1), \qquad
              u = \tilde u (1 - z), \qquad w = \beta w' + (1-\beta)\, q\, (a u' + b z')

    with :math:`\alpha = e^{-\Delta t/\tau_u}`, :math:`\beta = e^{-\Delta t/\tau_w}`; no gradient flows
    through the reset.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Range of the membrane time constants :math:`\tau_u`, in ms, at least one time step; each
            neuron learns where in it its own lies.
        tau_adapt_ms: The same of the adaptation, :math:`\tau_w`.
        a: Range of the coupling of the adaptation to the potential.
        b: Range of the jump of the adaptation at a spike.
        q: Scale of the adaptation, above 0.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        Baronig et al. (2025), https://arxiv.org/abs/2408.07517: time constants of 5 to 25 and 60 to
        300 steps of 4 ms, learned as a mixture of both ends; everything is clamped after each step of the
        optimiser.

    Example:
        >>> import torch
        >>> EFAdLIF(8, 4.0)(torch.zeros(50, 1, 8)).sum()  # no current, no spikes
        tensor(0., grad_fn=<SumBackward0>)
    """

    resets: ClassVar[bool] = True
    tau_u_mix: Tensor
    tau_w_mix: Tensor
    a: Tensor
    b: Tensor

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: tuple[float, float] = (20.0, 100.0),
        tau_adapt_ms: tuple[float, float] = (240.0, 1200.0),
        a: tuple[float, float] = (0.0, 1.0),
        b: tuple[float, float] = (0.0, 2.0),
        q: float = 120.0,
        surrogate: Callable[[], Surrogate] = SLAYER,
    ) -> None:
        super().__init__(num_neurons, time_step_ms, tau_mem_ms, surrogate)
        require_positive("q", q)
        self.tau_adapt_ms, self.q = check_range("tau_adapt_ms", tau_adapt_ms, time_step_ms), q
        self.learn("tau_u_mix", 0.0, 1.0)
        self.learn("tau_w_mix", 0.0, 1.0)
        self.learn("a", *check_range("a", a))
        self.learn("b", *check_range("b", b))

    def decays(self) -> tuple[Tensor, Tensor]:
        """Shares of potential and adaptation that a step keeps, both ``(N,)``."""
        alpha, beta = ((-1 / steps).exp() for steps in self._taus())
        return alpha, beta

    def _taus(self) -> tuple[Tensor, Tensor]:
        """Time constants of potential and adaptation, in steps."""
        return self._mixed(self.tau_u_mix, self.tau_range_ms), self._mixed(self.tau_w_mix, self.tau_adapt_ms)

    def _mixed(self, mix: Tensor, ends: tuple[float, float]) -> Tensor:
        shortest, longest = (self.grid.steps(end) for end in ends)
        return mix * longest + (1 - mix) * shortest

    @torch.no_grad()
    def learned_times_ms(self) -> dict[str, Tensor]:  # noqa: D102
        membrane, adaptation = (steps * self.grid.time_step_ms for steps in self._taus())
        return {"membrane": membrane, "adaptation": adaptation}

    def coefficients(self) -> Coefficients:  # noqa: D102
        alpha, beta = self.decays()
        drive, scale = 1 - alpha, (1 - beta) * self.q
        nothing = alpha.new_zeros(len(alpha))
        return Coefficients(
            uu=alpha, uw=-drive, uz=nothing, ui=drive, wu=scale * self.a, ww=beta, wz=scale * self.b
        )


class SEAdLIF(EFAdLIF):
    r"""Adaptive leaky integrate-and-fire neurons, by the symplectic Euler method, which is stable.

    As :class:`EFAdLIF`, but the adaptation takes the new potential and spike,
    :math:`w = \beta w' + (1-\beta)\, q\, (a u + b z)`. The second state here is the adaptation of the step
    before, so that it is made first, from what the step before left.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Range of the membrane time constants, in ms, at least one time step.
        tau_adapt_ms: The same of the adaptation.
        a: Range of the coupling of the adaptation to the potential.
        b: Range of the jump of the adaptation at a spike.
        q: Scale of the adaptation, above 0.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        Baronig et al. (2025), https://arxiv.org/abs/2408.07517.
    """

    def coefficients(self) -> Coefficients:  # noqa: D102
        alpha, beta = self.decays()
        drive, scale = 1 - alpha, (1 - beta) * self.q
        wu, wz = scale * self.a, scale * self.b
        return Coefficients(
            uu=alpha - drive * wu, uw=-drive * beta, uz=-drive * wz, ui=drive, wu=wu, ww=beta, wz=wz
        )
