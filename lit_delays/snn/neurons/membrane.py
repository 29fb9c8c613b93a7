r"""A leaky membrane: what the neurons of the paper have in common.

.. math:: h[t] = \Bigl(1 - \frac{1}{\tau}\Bigr) v[t-1] + x[t]
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.neurons.base import Neuron, State


class Membrane(Neuron):
    """Neurons with one voltage that leaks.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant, in ms: at least one time step, and longer where it is learned.
        learn_tau: Whether the time constant is learned, one for all neurons.

    Attributes:
        leak_logit: Where it is learned: ``1 / tau = sigmoid(leak_logit)``, a scalar parameter.

    Raises:
        InputError: If the time constant is out of its range.

    Source:
        The input is not scaled by the leak (``decay_input`` off), as in the code of Hammouamri et al. (2023).
        Learned: Fang et al. (2021), https://arxiv.org/abs/2007.05785, Eq. 10.
    """

    def __init__(self, num_neurons: int, time_step_ms: float, tau_mem_ms: float, learn_tau: bool) -> None:
        super().__init__(num_neurons, time_step_ms)
        self.grid.require("tau_mem_ms", tau_mem_ms)
        self.tau_mem_ms, self.learn_tau = tau_mem_ms, learn_tau
        if learn_tau:
            tau = tau_mem_ms / time_step_ms
            if tau <= 1:
                raise InputError(
                    f"`tau_mem_ms` must be above one time step ({time_step_ms:g} ms) where it is learned, got"
                    f" {tau_mem_ms:g}."
                )
            self.leak_logit = nn.Parameter(torch.tensor(-math.log(tau - 1)))

    def extra_repr(self) -> str:  # noqa: D102
        return f"{self.num_neurons}, tau_mem_ms={self.tau_mem_ms:g}{', learned' * self.learn_tau}"

    @property
    def leak(self) -> Tensor | float:
        """Share of the voltage lost in a step, ``1 / tau``."""
        return torch.sigmoid(self.leak_logit) if self.learn_tau else self.grid.time_step_ms / self.tau_mem_ms

    @torch.no_grad()
    def learned_times_ms(self) -> dict[str, Tensor]:  # noqa: D102
        leak = self.leak
        return {"membrane": self.grid.time_step_ms / leak[None]} if isinstance(leak, Tensor) else {}

    @property
    def leak_now(self) -> float:
        """The leak as a number."""
        return float(torch.as_tensor(self.leak, dtype=torch.float64).detach())

    def initial_state(self, current: Tensor) -> State:
        """No voltage."""
        return {"v_mem": torch.zeros_like(current)}

    def charge(self, current: Tensor, state: State) -> Tensor:
        """Voltage ``(B, N)`` after the leak and the input of a step, before any spike."""
        return state["v_mem"] * (1 - self.leak) + current

    def constants(self) -> dict[str, Any]:
        """``leak``, the share of the voltage lost in a step; ``v_threshold``, None if it never fires."""
        learned = {name: value for name, value in super().constants().items() if name != "leak_logit"}
        return {"leak": self.leak_now, "v_threshold": getattr(self, "v_threshold", None), **learned}

    def nir_membrane(self, time_step_s: float) -> dict[str, Tensor | float]:
        """Parameters of NIR's ``LI``, whose Euler step is this one: ``tau = dt / leak``, ``r = 1 / leak``."""
        leak = self.leak_now
        return {"tau": time_step_s / leak, "r": 1 / leak, "v_leak": 0.0}
