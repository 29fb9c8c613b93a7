"""A synapse that remembers: each spike lingers as a decaying current."""

from typing import ClassVar

import torch
from torch import Tensor

from lit_delays.snn.neurons.base import Neuron, State


class SynapticFilter(Neuron):
    r"""Spikes that linger as currents, which decay only while no new spike comes.

    .. math:: I[t] = I[t-1] - (1 - S[t])\, I[t-1] / \tau + S[t]

    Not a neuron, but a population with a state and a step like one; it stands behind the dropout of a layer.

    Args:
        num_neurons: Number of neurons whose spikes it filters, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_ms: Time constant, in ms, at least one time step.

    Source:
        The stateful synapse of the paper's reference code, where tau is 2 steps and not learned.

    Example:
        >>> SynapticFilter(1, 10.0, tau_ms=20.0)(torch.tensor([1.0, 0.0, 1.0]).view(3, 1, 1)).flatten()
        tensor([1.0000, 0.5000, 1.5000])
    """

    spikes: ClassVar[bool] = False

    def __init__(self, num_neurons: int, time_step_ms: float, *, tau_ms: float) -> None:
        super().__init__(num_neurons, time_step_ms)
        self.grid.require("synapse_tau_ms", tau_ms)
        self.tau = tau_ms / time_step_ms

    def initial_state(self, current: Tensor) -> State:
        """No current."""
        return {"lingering": torch.zeros_like(current)}

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        lingering = state["lingering"] * (1 - (1 - current) / self.tau) + current
        return lingering, {"lingering": lingering}
