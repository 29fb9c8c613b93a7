"""The neurons of a readout, which follow from those of the last hidden layer."""

from typing import Any

from lit_delays.snn.neurons.base import READOUT_THRESHOLD, Neuron
from lit_delays.snn.neurons.leaky_integrator import LeakyIntegrator
from lit_delays.snn.neurons.lif import LIF


def readout_of(neuron: Neuron, num_classes: int, fires: bool) -> Neuron:
    """The readout that belongs to these neurons: what they say themselves, or leaky integrators.

    Those have the same ``tau_mem_ms``, if the neurons have one. Where the readout's spikes are counted they
    are leaky integrate-and-fire neurons with a threshold of 2.

    Args:
        neuron: Neurons of the last hidden layer.
        num_classes: Number of classes.
        fires: Whether the readout spikes, instead of giving its voltage.
    """
    if (own := neuron.readout(num_classes, fires)) is not None:
        return own
    tau_mem_ms, step_ms = getattr(neuron, "tau_mem_ms", None), neuron.grid.time_step_ms
    known: dict[str, Any] = {} if tau_mem_ms is None else {"tau_mem_ms": tau_mem_ms}
    if fires:
        return LIF(num_classes, step_ms, **known, v_threshold=READOUT_THRESHOLD)
    return LeakyIntegrator(num_classes, step_ms, **known)
