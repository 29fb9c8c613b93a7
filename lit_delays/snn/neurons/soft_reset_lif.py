"""Leaky integrate-and-fire neurons that keep what exceeds their threshold."""

from collections.abc import Callable

from torch import Tensor

from lit_delays.snn.neurons.lif import LIF
from lit_delays.snn.surrogates import ATan, Surrogate


class SoftResetLIF(LIF):
    r"""Leaky integrate-and-fire neurons whose spike takes the threshold off their voltage.

    .. math:: h[t] = \Bigl(1 - \frac{1}{\tau}\Bigr) v[t-1] + x[t], \qquad s[t] = \Theta(h[t] - \vartheta),
              \qquad v[t] = h[t] - \vartheta\, s[t]

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant, in ms, at least one time step.
        v_threshold: Voltage at which a neuron spikes, above 0.
        surrogate: Stand-in for the derivative of a spike.
        detach_reset: Whether no gradient flows through the reset.

    Source:
        As used with recurrent delays for SSC and permuted MNIST by Queant et al. (2025),
        https://arxiv.org/abs/2509.24852, where a gradient flows through the reset. They take a time constant
        of 2 steps and a :class:`~lit_delays.snn.surrogates.Triangle`.

    Example:
        >>> import torch
        >>> SoftResetLIF(1, 10.0, tau_mem_ms=20.0)(torch.full((4, 1, 1), 1.6)).flatten()
        tensor([1., 1., 1., 1.])
    """

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: float = 10.05,
        v_threshold: float = 1.0,
        surrogate: Callable[[], Surrogate] = ATan,
        detach_reset: bool = False,
    ) -> None:
        super().__init__(
            num_neurons,
            time_step_ms,
            tau_mem_ms=tau_mem_ms,
            v_threshold=v_threshold,
            surrogate=surrogate,
            detach_reset=detach_reset,
        )

    def reset(self, v_mem: Tensor, spikes: Tensor) -> Tensor:  # noqa: D102
        return v_mem - self.v_threshold * spikes
