"""The network of the paper: blocks of delays, norm, neurons and dropout, then a readout that never fires.

Shape letters: T input steps, T' output steps, B samples, N neurons, I inputs, C classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_delays.errors import InputError
from lit_delays.snn.decisions import Decision
from lit_delays.snn.delays import DelayedLinear, DelayMode
from lit_delays.snn.kernels import KernelName
from lit_delays.snn.neurons import Neuron, NeuronName
from lit_delays.snn.normed import fits, normed_lif_scan
from lit_delays.snn.scan import synaptic_filter_scan
from lit_delays.snn.surrogates import SurrogateName, make_surrogate

READOUT_THRESHOLD = 2.0  # the reference's, where the readout fires at all

Watch = Callable[[int, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything that makes a network; the defaults are the paper's for SHD.

    Args:
        num_inputs: Input channels, ``I``; from the data on the command line.
        num_classes: Classes, ``C``; from the data on the command line.
        time_step_ms: Duration of a time step, in ms; from the data on the command line.
        hidden_size: Neurons in each hidden layer.
        num_hidden_layers: Hidden layers, at least 1.
        delays: learned, fixed at random whole steps, or none.
        max_delay_ms: Delay window in ms, at least one time step; rounded down to steps, then up to an odd
            number of them, as the reference does (300 ms at 10 ms: 31 lags, 0 to 300 ms).
        num_synapses: Synapses per pair of neurons, each with a weight and a delay.
        fan_in: Random synapses that each neuron keeps; null keeps all.
        kernel: Shape of the soft delays in training.
        keep_length: Whether layers keep the number of time steps. If not, each adds half its window (the
            paper), so that the answer can wait for late inputs.
        neuron: lif, plif, heaviside or relu.
        tau_mem_ms: Membrane time constant in ms, at least one time step.
        v_threshold: Voltage at which a hidden neuron spikes, above 0.
        surrogate: Stand-in for the derivative of a spike.
        surrogate_slope: Its steepness, above 0.
        synapse_tau_ms: Time constant of a synaptic filter after each hidden layer, in ms, at least one time
            step; null for none (the paper). The reference uses two time steps.
        dropout: Probability that a neuron is silenced for a whole sample, in [0, 1).
        decision: How the readout over time becomes a score per class: sum of the softmax of every step (the
            paper), mean, max, or spike_count, for which the readout fires (at a voltage of 2).

    Raises:
        InputError: If a value is out of its range.

    Example:
        >>> NetworkConfig(max_delay_ms=300).max_delay
        31
    """

    num_inputs: int = 140
    num_classes: int = 20
    time_step_ms: float = 10.0
    hidden_size: int = 256
    num_hidden_layers: int = 2
    delays: DelayMode = "learned"
    max_delay_ms: float = 250.0
    num_synapses: int = 1
    fan_in: int | None = None
    kernel: KernelName = "gaussian"
    keep_length: bool = False
    neuron: NeuronName = "lif"
    tau_mem_ms: float = 10.05
    v_threshold: float = 1.0
    surrogate: SurrogateName = "atan"
    surrogate_slope: float = 5.0
    synapse_tau_ms: float | None = None
    dropout: float = 0.4
    decision: Decision = "sum"

    def __post_init__(self) -> None:
        for name in ("num_inputs", "num_classes", "hidden_size", "num_hidden_layers", "num_synapses"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("time_step_ms", "v_threshold", "surrogate_slope"):
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("dropout", 0 <= self.dropout < 1, "in [0, 1)")
        one_step = f"at least one time step ({self.time_step_ms:g} ms)"
        for name in ("max_delay_ms", "tau_mem_ms", "synapse_tau_ms"):
            value = getattr(self, name)
            self._require(name, value is None or value >= self.time_step_ms, one_step)

    def _require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InputError(f"`{name}` must be {rule}, got {getattr(self, name)}.")

    @property
    def max_delay(self) -> int:
        """Lags of every layer: the delay window in time steps, made odd."""
        return int(self.max_delay_ms / self.time_step_ms) // 2 * 2 + 1

    @property
    def tau_mem(self) -> float:
        """Membrane time constant in time steps."""
        return self.tau_mem_ms / self.time_step_ms

    @property
    def synapse_tau(self) -> float | None:
        """Time constant of the synaptic filter in time steps, or None."""
        return None if self.synapse_tau_ms is None else self.synapse_tau_ms / self.time_step_ms


class DelaySNN(nn.Module):
    """Spiking network with a delay on every synapse.

    Args:
        config: Its sizes and parts.

    Attributes:
        blocks: The hidden layers.
        readout: The last layer of synapses, and :attr:`readout_neuron` on top of it.

    Shape:
        Input counts ``(T, B, I)``, output readout ``(T', B, C)``. ``T' = T`` plus half a delay window per
        layer, unless ``keep_length``.

    Source:
        Hammouamri et al. (2023), Sec. 3.

    Example:
        >>> network = DelaySNN(NetworkConfig(num_inputs=4, num_classes=2, hidden_size=8))
        >>> network(torch.zeros(10, 3, 4)).shape
        torch.Size([46, 3, 2])
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.num_inputs] + [config.hidden_size] * config.num_hidden_layers
        self.blocks = nn.ModuleList(Block(config, before, after) for before, after in pairwise(sizes))
        self.readout = make_delays(config, sizes[-1], config.num_classes)
        fires = config.decision == "spike_count"
        self.readout_neuron = make_neuron(config, READOUT_THRESHOLD if fires else math.inf)

    def forward(self, counts: Tensor, watch: Watch | None = None) -> Tensor:
        """Run from rest; ``watch(layer, spikes)`` sees the output of every hidden layer before dropout."""
        x = counts
        for index, block in enumerate(self.hidden):
            x = block(x, None if watch is None else partial(watch, index))
        voltage: Tensor = self.readout_neuron(self.readout(x))
        return voltage

    @property
    def hidden(self) -> list["Block"]:
        """The hidden layers, from the input on."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def delay_layers(self) -> list[DelayedLinear]:
        """All layers of synapses, the readout's last."""
        return [module for module in self.modules() if isinstance(module, DelayedLinear)]

    def constrain(self) -> None:
        """Bring every delay and mask back into its range; call it after each optimiser step."""
        for layer in self.delay_layers():
            layer.constrain()

    def set_sigma(self, sigma: float) -> None:
        """Set the width of every soft delay, in time steps."""
        for layer in self.delay_layers():
            layer.sigma.fill_(sigma)


class Block(nn.Module):
    """One hidden layer: delays, batch norm, neurons, dropout, and possibly a synaptic filter.

    Args:
        config: The network's configuration.
        num_inputs: Inputs of this layer.
        num_neurons: Its neurons.
    """

    def __init__(self, config: NetworkConfig, num_inputs: int, num_neurons: int) -> None:
        super().__init__()
        self.delays = make_delays(config, num_inputs, num_neurons)
        self.norm = nn.BatchNorm1d(num_neurons)
        self.neuron = make_neuron(config, config.v_threshold)
        self.dropout, self.synapse_tau = config.dropout, config.synapse_tau

    def forward(self, x: Tensor, watch: Callable[[Tensor], None] | None = None) -> Tensor:
        """What the next layer hears, shape ``(T', B, N)``, of input ``(T, B, I)``; ``watch`` sees spikes."""
        current = self.delays(x)
        mask = F.dropout(torch.ones_like(current[:1]), self.dropout, self.training)  # one for all time steps
        if watch is None and fits(self.norm, self.neuron, current):
            heard = normed_lif_scan(current, self.norm, self.neuron, mask)
        else:
            spikes = self._spikes(current, watch)
            heard = spikes * mask if self.training else spikes
        return heard if self.synapse_tau is None else synaptic_filter_scan(heard, self.synapse_tau)

    def _spikes(self, current: Tensor, watch: Callable[[Tensor], None] | None) -> Tensor:
        normed = self.norm(current.flatten(0, 1))  # over time and batch; flat, so that SyncBatchNorm fits
        spikes: Tensor = self.neuron(normed.view_as(current))
        if watch is not None:
            watch(spikes)
        return spikes


def make_delays(config: NetworkConfig, num_inputs: int, num_outputs: int) -> DelayedLinear:
    """Synapses between two layers, as the configuration wants them."""
    return DelayedLinear(
        num_inputs,
        num_outputs,
        max_delay=config.max_delay,
        num_synapses=config.num_synapses,
        delays=config.delays,
        kernel=config.kernel,
        fan_in=config.fan_in,
        keep_length=config.keep_length,
    )


def make_neuron(config: NetworkConfig, v_threshold: float) -> Neuron:
    """Neurons with the given threshold, as the configuration wants them."""
    surrogate = make_surrogate(config.surrogate, config.surrogate_slope)
    return Neuron(config.neuron, tau=config.tau_mem, v_threshold=v_threshold, surrogate=surrogate)
