"""A readout without a memory."""

from typing import ClassVar

from torch import Tensor

from lit_delays.snn.neurons.base import Neuron, State


class RawCurrent(Neuron):
    """No neurons at all: the output is the current, as in the readout of neurons without a memory.

    Args:
        num_neurons: Number of outputs, ``N``.
        time_step_ms: Length of a time step, in ms.
    """

    spikes: ClassVar[bool] = False

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        return current, state
