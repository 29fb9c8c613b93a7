"""A readout whose voltage is a running average of its current."""

from torch import Tensor

from lit_delays.snn.neurons.base import State
from lit_delays.snn.neurons.leaky_integrator import LeakyIntegrator


class AveragingIntegrator(LeakyIntegrator):
    r"""Neurons that never fire: their output is the average of the last currents, of about ``tau_mem_ms``.

    .. math:: v[t] = \Bigl(1 - \frac{1}{\tau}\Bigr) v[t-1] + \frac{1}{\tau}\, x[t]

    Unlike a :class:`LeakyIntegrator` it keeps the size of its current, so long memories start where short
    ones do: for forecasts.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant, in ms: at least one time step, and longer where it is learned.
        learn_tau: Whether the time constant is learned, one for all neurons.

    Source:
        A membrane whose input is scaled by its leak (``decay_input``), as SpikingJelly has by default.

    Example:
        >>> import torch
        >>> AveragingIntegrator(1, 10.0, tau_mem_ms=20.0)(torch.ones(3, 1, 1)).flatten()
        tensor([0.5000, 0.7500, 0.8750])
    """

    def charge(self, current: Tensor, state: State) -> Tensor:  # noqa: D102
        return super().charge(current * self.leak, state)

    def nir(self, time_step_s: float) -> tuple[str, dict[str, Tensor | float]]:
        """NIR's ``LI``, which scales its input in the same way."""
        return "LI", {**self.nir_membrane(time_step_s), "r": 1.0}
