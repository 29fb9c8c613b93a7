"""A neuron with two states, and a parameter that every neuron learns for itself."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lit_delays.snn.neurons import Neuron, State
from lit_delays.snn.surrogates import ATan, Surrogate, spike


class RisingThreshold(Neuron):
    r"""A leaky neuron whose threshold rises with every spike and falls back slowly.

    .. math:: v[t] = \alpha\,v[t-1] + x[t], \qquad s[t] = \Theta(v[t] - 1 - a[t-1]), \qquad
              a[t] = \beta\,a[t-1] + b\,s[t], \qquad v[t] \leftarrow v[t] - s[t]

    Args:
        num_neurons: Number of neurons.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant, in ms, at least one time step.
        tau_adapt_ms: Time constant of the threshold, in ms, at least one time step.
        rise: How much a spike raises the threshold at the start; each neuron learns its own.
        surrogate: Stand-in for the derivative of a spike.
    """

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: float = 20.0,
        tau_adapt_ms: float = 100.0,
        rise: float = 0.2,
        surrogate: Callable[[], Surrogate] = ATan,
    ) -> None:
        super().__init__(num_neurons, time_step_ms)
        self.grid.require("tau_mem_ms", tau_mem_ms)
        self.grid.require("tau_adapt_ms", tau_adapt_ms)
        self.keep, self.keep_threshold = 1 - time_step_ms / tau_mem_ms, 1 - time_step_ms / tau_adapt_ms
        self.tau_mem_ms, self.surrogate = tau_mem_ms, surrogate()
        self.rise = nn.Parameter(torch.full((num_neurons,), rise))

    def initial_state(self, current: Tensor) -> State:
        return {"v_mem": torch.zeros_like(current), "raised": torch.zeros_like(current)}

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        v_mem = self.keep * state["v_mem"] + current
        spikes = spike(v_mem - 1 - state["raised"], self.surrogate)
        raised = self.keep_threshold * state["raised"] + self.rise * spikes
        return spikes, {"v_mem": v_mem - spikes.detach(), "raised": raised}
