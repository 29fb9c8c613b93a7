"""Leaky integrate-and-fire neurons: the paper's."""

from collections.abc import Callable
from inspect import signature
from typing import ClassVar

from torch import Tensor

from lit_delays.snn.neurons.base import READOUT_THRESHOLD, Neuron, State
from lit_delays.snn.neurons.leaky_integrator import LeakyIntegrator
from lit_delays.snn.neurons.membrane import Membrane
from lit_delays.snn.surrogates import ATan, Surrogate, require_positive, spike


class LIF(Membrane):
    r"""Leaky integrate-and-fire neurons that start from zero again after a spike.

    .. math:: h[t] = \Bigl(1 - \frac{1}{\tau}\Bigr) v[t-1] + x[t], \qquad s[t] = \Theta(h[t] - \vartheta),
              \qquad v[t] = h[t]\,(1 - s[t])

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant, in ms, at least one time step.
        v_threshold: Voltage at which a neuron spikes, above 0.
        surrogate: Stand-in for the derivative of a spike.
        detach_reset: Whether no gradient flows through the reset.

    Source:
        Hammouamri et al. (2023), Eq. 1 to 3, and the neuron of its reference code: the input is not scaled
        by the leak (``decay_input`` off), and no gradient flows through the reset.

    Example:
        >>> import torch
        >>> LIF(1, 10.0, tau_mem_ms=20.0)(torch.full((4, 1, 1), 0.6)).flatten()
        tensor([0., 0., 1., 0.])
    """

    learns: ClassVar[bool] = False

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: float = 10.05,
        v_threshold: float = 1.0,
        surrogate: Callable[[], Surrogate] = ATan,
        detach_reset: bool = True,
    ) -> None:
        super().__init__(num_neurons, time_step_ms, tau_mem_ms, self.learns)
        require_positive("v_threshold", v_threshold)
        self.v_threshold, self.surrogate, self.detach_reset = v_threshold, surrogate(), detach_reset

    def extra_repr(self) -> str:  # noqa: D102
        return f"{super().extra_repr()}, v_threshold={self.v_threshold:g}, {self.surrogate}"

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        v_mem = self.charge(current, state)
        spikes = spike(v_mem - self.v_threshold, self.surrogate)
        return spikes, {"v_mem": self.reset(v_mem, spikes.detach() if self.detach_reset else spikes)}

    def reset(self, v_mem: Tensor, spikes: Tensor) -> Tensor:
        """What is left of a voltage after the spikes of a step, all ``(B, N)``."""
        return v_mem * (1 - spikes)

    def readout(self, num_neurons: int, fires: bool) -> Neuron:
        """The same membrane without a threshold, or with a higher one where its spikes are counted.

        Those are plain ones where a subclass takes other arguments.
        """
        step_ms, tau_mem_ms = self.grid.time_step_ms, self.tau_mem_ms
        if not fires:
            return LeakyIntegrator(num_neurons, step_ms, tau_mem_ms=tau_mem_ms, learn_tau=self.learns)
        mine, plain = (signature(kind).parameters.keys() for kind in (type(self), LIF))
        kind = type(self) if mine == plain else LIF
        return kind(
            num_neurons,
            step_ms,
            tau_mem_ms=tau_mem_ms,
            v_threshold=READOUT_THRESHOLD,
            surrogate=lambda: self.surrogate,
            detach_reset=self.detach_reset,
        )

    def nir(self, time_step_s: float) -> tuple[str, dict[str, Tensor | float]]:
        """NIR's ``LIF``; NIR's text says that it spikes *above* its threshold, ours do at it."""
        membrane = self.nir_membrane(time_step_s)
        return "LIF", {**membrane, "v_threshold": self.v_threshold, "v_reset": 0.0}
