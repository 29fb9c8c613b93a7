"""Neurons without a memory that spike where their current reaches a threshold."""

from collections.abc import Callable

from torch import Tensor

from lit_delays.snn.neurons.base import READOUT_THRESHOLD, Neuron, State
from lit_delays.snn.neurons.raw_current import RawCurrent
from lit_delays.snn.surrogates import ATan, Surrogate, require_positive, spike


class Heaviside(Neuron):
    r"""Neurons that spike where the current reaches the threshold: :math:`s[t] = \Theta(x[t] - \vartheta)`.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        v_threshold: Current at which a neuron spikes, above 0.
        surrogate: Stand-in for the derivative of a spike.

    Source:
        The stateless neuron of the code of Hammouamri et al. (2023), whose readout is the current itself.

    Example:
        >>> import torch
        >>> Heaviside(1, 10.0)(torch.tensor([0.5, 1.0]).view(2, 1, 1)).flatten()
        tensor([0., 1.])
    """

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        v_threshold: float = 1.0,
        surrogate: Callable[[], Surrogate] = ATan,
    ) -> None:
        super().__init__(num_neurons, time_step_ms)
        require_positive("v_threshold", v_threshold)
        self.v_threshold, self.surrogate = v_threshold, surrogate()

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:  # noqa: D102
        return spike(current - self.v_threshold, self.surrogate), state

    def readout(self, num_neurons: int, fires: bool) -> Neuron:
        """The current itself, or these neurons with a higher threshold."""
        step_ms = self.grid.time_step_ms
        if not fires:
            return RawCurrent(num_neurons, step_ms)
        return Heaviside(
            num_neurons, step_ms, v_threshold=READOUT_THRESHOLD, surrogate=lambda: self.surrogate
        )

    def constants(self) -> dict[str, float]:
        """``v_threshold``."""
        return {"v_threshold": self.v_threshold}
