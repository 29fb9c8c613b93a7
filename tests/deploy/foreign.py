"""A neuron and synapses as somebody else would write them: nothing of lit_delays knows them."""

import torch
from torch import Tensor, nn

from lit_delays.snn.kernels import Triangle, one_tap_kernel, soft_kernel
from lit_delays.snn.neurons import Neuron, State
from lit_delays.snn.surrogates import ATan, spike
from lit_delays.snn.synapses import Synapses
from lit_delays.snn.synapses.base import window


class Tired(Neuron):
    """Neurons with two states: each spike makes the next one harder, how much each neuron learns itself."""

    def __init__(
        self, num_neurons: int, time_step_ms: float, *, tau_mem_ms: float = 20.0, start: float = 0.3
    ):
        super().__init__(num_neurons, time_step_ms)
        self.tau_mem_ms = tau_mem_ms
        self.fatigue = nn.Parameter(torch.full((num_neurons,), start))
        self.register_buffer("recovery", torch.linspace(0.5, 0.9, num_neurons), persistent=False)

    def initial_state(self, current: Tensor) -> State:
        return {"v_mem": torch.zeros_like(current), "tired": torch.zeros_like(current)}

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        v_mem = state["v_mem"] * (1 - self.grid.time_step_ms / self.tau_mem_ms) + current
        spikes = spike(v_mem - 1 - self.fatigue * state["tired"], ATan())
        return spikes, {"v_mem": v_mem - spikes, "tired": self.recovery * state["tired"] + spikes}


class GroupedDelays(Synapses):
    """Each neuron has one delay for every group of neighbouring inputs."""

    def __init__(
        self, num_inputs: int, num_outputs: int, time_step_ms: float, *, max_delay_ms: float, num_groups: int
    ):
        super().__init__(num_inputs, num_outputs, num_lags=window(max_delay_ms, time_step_ms))
        self.weight = nn.Parameter(torch.randn(num_outputs, num_inputs) / num_inputs**0.5)
        self.delay = nn.Parameter(torch.rand(num_outputs, num_groups) * (self.num_lags - 1))
        self.group = [num_groups * index // num_inputs for index in range(num_inputs)]

    def dense_kernel(self) -> Tensor:
        weight, delay = self.weight.unsqueeze(-1), self.delay[:, self.group].unsqueeze(-1)
        if not self.training:
            return one_tap_kernel(weight, delay, self.num_lags)
        return soft_kernel(weight, delay, self.sigma, self.num_lags, Triangle())
