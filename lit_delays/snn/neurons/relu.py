"""Units that do not spike: the baseline."""

from typing import ClassVar

import torch
from torch import Tensor

from lit_delays.snn.neurons.base import Neuron, State
from lit_delays.snn.neurons.raw_current import RawCurrent


class ReLU(Neuron):
    """Rectified linear units: no spikes and no memory but the delays, a temporal convolution.

    Args:
        num_neurons: Number of units, ``N``.
        time_step_ms: Length of a time step, in ms.
    """

    spikes: ClassVar[bool] = False

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        return torch.relu(current), state

    def readout(self, num_neurons: int, fires: bool) -> Neuron:
        """The current itself, rectified where spikes would be counted."""
        return (ReLU if fires else RawCurrent)(num_neurons, self.grid.time_step_ms)
