"""The paper's readout: neurons that never fire, and give their voltage."""

from typing import ClassVar

from torch import Tensor

from lit_delays.snn.neurons.base import State
from lit_delays.snn.neurons.membrane import Membrane


class LeakyIntegrator(Membrane):
    r"""Neurons that never fire: their output is the voltage.

    .. math:: v[t] = \Bigl(1 - \frac{1}{\tau}\Bigr) v[t-1] + x[t]

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant, in ms: at least one time step, and longer where it is learned.
        learn_tau: Whether the time constant is learned, one for all neurons.

    Source:
        Hammouamri et al. (2023), Sec. 3.1.

    Example:
        >>> import torch
        >>> LeakyIntegrator(1, 10.0, tau_mem_ms=20.0)(torch.ones(3, 1, 1)).flatten()
        tensor([1.0000, 1.5000, 1.7500])
    """

    spikes: ClassVar[bool] = False

    def __init__(
        self, num_neurons: int, time_step_ms: float, *, tau_mem_ms: float = 10.05, learn_tau: bool = False
    ) -> None:
        super().__init__(num_neurons, time_step_ms, tau_mem_ms, learn_tau)

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        v_mem = self.charge(current, state)
        return v_mem, {"v_mem": v_mem}

    def nir(self, time_step_s: float) -> tuple[str, dict[str, Tensor | float]]:
        """NIR's ``LI``."""
        return "LI", self.nir_membrane(time_step_s)
