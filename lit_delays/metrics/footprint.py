"""What a network takes of a device's memory.

Shape letters: O outputs, I inputs, S synapses per pair, K lags.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_delays.snn.network import Network
from lit_delays.snn.synapses import Synapses

BYTES_PER_DELAY = 2  # int16


@dataclass(frozen=True)
class Footprint:
    """Memory that a layer takes on a device that keeps the synapses that exist, and one memory for delays.

    For delays a device keeps either the currents that are still to come, in a ring, or the past inputs.

    Attributes:
        num_synapses: Synapses with a weight other than zero.
        fan_in: The most that a neuron has.
        num_delays: Distinct delays.
        longest_delay: In time steps.
        weight_bytes: Weights and biases.
        delay_bytes: Delays, as int16; none where all are 0.
        ring_bytes: Currents that are still to come: a slot for every delay up to the longest, and neuron.
        input_slots: Past inputs, instead of the ring: a slot for every step back to the longest delay, and
            input; a bit each where inputs are spikes.
    """

    num_synapses: int
    fan_in: int
    num_delays: int
    longest_delay: int
    weight_bytes: int
    delay_bytes: int
    ring_bytes: int
    input_slots: int

    @property
    def total_bytes(self) -> int:
        """All of it, with a ring."""
        return self.weight_bytes + self.delay_bytes + self.ring_bytes


def footprints(network: Network) -> dict[str, Footprint]:
    """Memory of every layer as deployed, by name; numbers as wide as the network's own precision."""
    return {name: _footprint(synapses) for name, synapses in network.named_synapses().items()}


def delay_histogram(synapses: Synapses) -> Tensor:
    """Synapses that exist by their deployed delay in time steps, shape ``(K,)``.

    Example:
        >>> from lit_delays.snn.synapses import SynapticDelays
        >>> synapses = SynapticDelays(3, 1, 10.0, max_delay_ms=30.0)
        >>> _ = synapses.delay.data.copy_(torch.tensor([[[0.2], [1.9], [2.0]]]))
        >>> delay_histogram(synapses)
        tensor([1, 0, 2])
    """
    weight, delay = synapses.whole_delays()
    return torch.bincount(delay[weight != 0].cpu(), minlength=synapses.num_lags)


def _footprint(synapses: Synapses) -> Footprint:
    weight, _ = synapses.whole_delays()  # (O, I, S)
    used = delay_histogram(synapses).nonzero().flatten()
    num_synapses, longest = int((weight != 0).sum()), int(used.max()) if len(used) else 0
    width, num_neurons = weight.element_size(), synapses.num_outputs
    return Footprint(
        num_synapses=num_synapses,
        fan_in=int((weight != 0).sum(dim=(1, 2)).max()),
        num_delays=len(used),
        longest_delay=longest,
        weight_bytes=(num_synapses + num_neurons) * width,
        delay_bytes=num_synapses * BYTES_PER_DELAY if longest else 0,
        ring_bytes=(longest + 1) * num_neurons * width,
        input_slots=synapses.num_inputs * longest,
    )
