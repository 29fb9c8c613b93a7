"""What an inference costs: operations of synapses, activity, memory.

Letters: T steps, B samples, I inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from lit_delays.deployed.network import DeployedLayer, DeployedSNN

BYTES_PER_DELAY = 2  # int16


class SynapticOperations(Metric):
    """Operations of synapses per inference, averaged over samples.

    A number that a synapse hears costs one operation where neither it nor the weight is zero: an
    accumulation (AC) in a layer that hears spikes alone (-1, 0 or 1), else a multiply-accumulation (MAC).
    ``dense`` counts all pairs, zeros as well. A delay moves an operation and costs none; those of spikes that
    arrive when their layer is silent already are counted, as a device has no way to know.

    Args:
        network: The deployed network.

    Source:
        NeuroBench, Yik et al. (2025), https://arxiv.org/abs/2304.04640; the same counts on a network without
        delays, where its ``Linear`` layers are called once a batch.

    Example:
        >>> from lit_delays.deployed.network import deploy
        >>> from lit_delays.snn.network import DelaySNN, NetworkConfig
        >>> network = deploy(DelaySNN(NetworkConfig(num_inputs=4, num_classes=2, hidden_size=8)))
        >>> operations = SynapticOperations(network)
        >>> operations.update(network.heard(torch.ones(10, 3, 4)))
        >>> int(operations.compute()["dense"])  # they hear 10, 22 and 34 steps
        2272
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    macs: Tensor
    acs: Tensor
    dense: Tensor
    num_samples: Tensor

    def __init__(self, network: DeployedSNN) -> None:
        super().__init__()
        layers = network.named_layers().values()
        self._fan_outs = [(layer.weight != 0).sum(dim=(0, 2)) for layer in layers]
        self._sizes = [layer.weight.numel() for layer in layers]
        for name in ("macs", "acs", "dense", "num_samples"):
            self.add_state(name, torch.tensor(0, dtype=torch.int64), dist_reduce_fx="sum")

    @override
    def update(self, heard: Sequence[Tensor]) -> None:
        """Count a batch.

        Args:
            heard: Input of every layer, each ``(T, B, I)``: :meth:`~.network.DeployedSNN.heard`.
        """
        for x, fan_out, size in zip(heard, self._fan_outs, self._sizes, strict=True):
            operations = ((x != 0).sum(dim=(0, 1)) * fan_out.to(x.device)).sum()
            if bool(((x == 0) | (x.abs() == 1)).all()):
                self.acs += operations
            else:
                self.macs += operations
            self.dense += len(x) * x.shape[1] * size
        self.num_samples += heard[0].shape[1]

    @override
    def compute(self) -> dict[str, Tensor]:
        """Averages a sample: ``effective_macs``, ``effective_acs`` and ``dense``."""
        samples = self.num_samples.double()
        return {
            "effective_macs": self.macs / samples,
            "effective_acs": self.acs / samples,
            "dense": self.dense / samples,
        }


class Activity(Metric):
    """How much the hidden layers fire.

    Args:
        network: The deployed network.
    """

    is_differentiable = False
    full_state_update = False
    spikes: Tensor
    places: Tensor

    def __init__(self, network: DeployedSNN) -> None:
        super().__init__()
        self._names = list(network.named_layers())[:-1]
        self._steps_per_second = 1000 / network.config.time_step_ms
        for name in ("spikes", "places"):
            zeros = torch.zeros(len(self._names), dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    @override
    def update(self, layer: int, spikes: Tensor) -> None:
        """Count the output ``(T, B, N)`` of a hidden layer; a network calls this as its ``watch``."""
        self.spikes[layer] += (spikes != 0).sum()
        self.places[layer] += spikes.numel()

    @override
    def compute(self) -> dict[str, Tensor]:
        """``activation_sparsity``, the share of zeros; ``firing_rate/hidden1``.. per second and neuron."""
        rates = self.spikes / self.places * self._steps_per_second
        sparsity = 1 - self.spikes.sum() / self.places.sum()
        return {"activation_sparsity": sparsity} | {
            f"firing_rate/{name}": rate for name, rate in zip(self._names, rates, strict=True)
        }


@dataclass(frozen=True)
class Footprint:
    """Memory that a layer takes on a device that keeps the synapses that exist, and a ring for the delays.

    Attributes:
        num_synapses: Synapses with a weight other than zero.
        fan_in: The most that a neuron has.
        num_delays: Distinct delays.
        longest_delay: In time steps.
        weight_bytes: Weights and biases.
        delay_bytes: Delays, as int16; none where all are 0.
        ring_bytes: Currents that are still to come: a slot for every delay up to the longest, and neuron.
    """

    num_synapses: int
    fan_in: int
    num_delays: int
    longest_delay: int
    weight_bytes: int
    delay_bytes: int
    ring_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weight_bytes + self.delay_bytes + self.ring_bytes


def footprints(network: DeployedSNN) -> dict[str, Footprint]:
    """Memory of every layer, by name; numbers as wide as the network's own precision."""
    return {name: _footprint(layer) for name, layer in network.named_layers().items()}


def _footprint(layer: DeployedLayer) -> Footprint:
    exists = layer.weight != 0
    delays = layer.delay[exists]
    num_synapses, longest = len(delays), int(delays.max()) if len(delays) else 0
    width = layer.weight.element_size()
    return Footprint(
        num_synapses=num_synapses,
        fan_in=int(exists.sum(dim=(1, 2)).max()),
        num_delays=len(set(delays.tolist())),
        longest_delay=longest,
        weight_bytes=(num_synapses + len(layer.bias)) * width,
        delay_bytes=num_synapses * BYTES_PER_DELAY if longest else 0,
        ring_bytes=(longest + 1) * len(layer.bias) * width,
    )
