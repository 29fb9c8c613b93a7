"""Synapses whose delays are shared by groups of inputs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lit_delays.snn.kernels import Gaussian, Kernel
from lit_delays.snn.synapses import Synapses
from lit_delays.snn.synapses.base import window


class GroupedDelays(Synapses):
    """A weight for every synapse, and a learned delay for every group of neighbouring inputs.

    Args:
        num_inputs: Number of inputs.
        num_outputs: Number of target neurons.
        time_step_ms: Length of a time step, in ms.
        group_size: Inputs that share a delay, at least 1.
        max_delay_ms: Delay window in ms, at least one time step.
        kernel: Shape of the soft delays in training.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        time_step_ms: float,
        *,
        group_size: int = 4,
        max_delay_ms: float = 250.0,
        kernel: Callable[[], Kernel] = Gaussian,
    ) -> None:
        super().__init__(num_inputs, num_outputs, num_lags=window(max_delay_ms, time_step_ms))
        self.group_size, self.kernel = group_size, kernel()
        self.weight = nn.Parameter(torch.randn(num_outputs, num_inputs) * (2 / num_inputs) ** 0.5)
        num_groups = -(-num_inputs // group_size)
        self.delay = nn.Parameter((self.num_lags - 1) * torch.rand(num_groups))

    @property
    def min_sigma(self) -> float:
        return self.kernel.min_sigma

    def dense_kernel(self) -> Tensor:
        if self.training:
            taps = self.kernel.taps(self.delay, self.sigma, self.num_lags)
        else:  # as deployed: all of it at the nearest lag
            lags = torch.arange(self.num_lags, device=self.delay.device).view(-1, 1)
            taps = (lags == self.delay.round()).to(self.weight.dtype)
        per_input = taps.repeat_interleave(self.group_size, dim=1)[:, : self.num_inputs]
        return per_input[:, None] * self.weight
