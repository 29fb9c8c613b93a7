"""Leaky integrate-and-fire neurons that learn how long they remember."""

from typing import ClassVar

from lit_delays.snn.neurons.lif import LIF


class PLIF(LIF):
    r"""Leaky integrate-and-fire neurons with one learned time constant a layer, :math:`1/\tau = \sigma(w)`.

    Args:
        num_neurons: Number of neurons, ``N``.
        time_step_ms: Length of a time step, in ms.
        tau_mem_ms: Membrane time constant at the start, in ms, above one time step.
        v_threshold: Voltage at which a neuron spikes, above 0.
        surrogate: Stand-in for the derivative of a spike.
        detach_reset: Whether no gradient flows through the reset.

    Source:
        Fang et al. (2021), https://arxiv.org/abs/2007.05785, Eq. 10.

    Example:
        >>> round(PLIF(1, 10.0, tau_mem_ms=20.0).leak_now, 3)
        0.5
    """

    learns: ClassVar[bool] = True
