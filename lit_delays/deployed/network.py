r"""The deployed network: whole delays, batch norm folded into weights and a bias, no dropout.

Batch norm in evaluation is an affine map of every neuron's current, so it moves into its synapses:

.. math:: \gamma\,\frac{\sum_i w_i x_i - \mu}{\sqrt{\mathrm{Var} + \epsilon}} + \beta
          = \sum_i (g\,w_i)\, x_i + (\beta - g\,\mu), \qquad g = \frac{\gamma}{\sqrt{\mathrm{Var} + \epsilon}}

The bias acts in every step, also in those that a layer adds after its input has ended.

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, S synapses per pair, C classes.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_delays.errors import InputError
from lit_delays.snn.convolution import delayed_sum
from lit_delays.snn.decisions import class_scores
from lit_delays.snn.delays import DelayedLinear
from lit_delays.snn.kernels import deployed_kernel
from lit_delays.snn.network import READOUT_THRESHOLD, DelaySNN, NetworkConfig, Watch, make_neuron
from lit_delays.snn.scan import synaptic_filter_scan


class DeployedLayer(nn.Module):
    """Synapses with whole delays and the neurons behind them, as plain tensors.

    Args:
        config: The network's configuration.
        num_inputs: Inputs, ``I``.
        num_neurons: Neurons, ``O``.
        v_threshold: Voltage at which they spike; infinite for a readout that never does.

    Attributes:
        weight: With the norm folded in; 0 where there is no synapse. Shape ``(O, I, S)``.
        delay: In time steps, int16, shape ``(O, I, S)``.
        bias: Current of every neuron in every step, shape ``(O,)``.
        neuron: Its constants: ``leak``, ``v_threshold``, ``kind``.
        max_delay: Steps that the delays can reach over; they lie in ``[0, max_delay - 1]``.
        extra_steps: Steps by which the layer's output outlasts its input.
    """

    weight: Tensor
    delay: Tensor
    bias: Tensor

    def __init__(self, config: NetworkConfig, num_inputs: int, num_neurons: int, v_threshold: float) -> None:
        super().__init__()
        shape = (num_neurons, num_inputs, config.num_synapses)
        self.register_buffer("weight", torch.zeros(shape))
        self.register_buffer("delay", torch.zeros(shape, dtype=torch.int16))
        self.register_buffer("bias", torch.zeros(num_neurons))
        self.neuron = make_neuron(config, v_threshold).requires_grad_(False)
        self.max_delay = 1 if config.delays == "none" else config.max_delay
        self.extra_steps = 0 if config.keep_length else (self.max_delay - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Spikes or voltages, shape ``(T', B, O)``, for input ``(T, B, I)``."""
        kernel = deployed_kernel(self.weight, self.delay, self.max_delay)
        current = delayed_sum(x, kernel, len(x) + self.extra_steps)
        output: Tensor = self.neuron(current + self.bias)
        return output


class DeployedSNN(nn.Module):
    """A trained network as it ships; made by :func:`deploy`, or read back with ``load``.

    Args:
        config: What the network was made with.
        class_names: Names by label; numbers where nobody named them.
        channels_per_bin: Neighbouring channels of a recording that one input merges.

    Attributes:
        layers: Hidden layers, then the readout.

    Shape:
        Input counts ``(T, B, I)``, output readout ``(T', B, C)``, as of the network in training.
    """

    def __init__(
        self, config: NetworkConfig, class_names: tuple[str, ...] = (), channels_per_bin: int = 1
    ) -> None:
        super().__init__()
        self.config, self.channels_per_bin = config, channels_per_bin
        self.class_names = class_names or tuple(str(label) for label in range(config.num_classes))
        if len(self.class_names) != config.num_classes:
            raise InputError(
                f"`class_names` must name {config.num_classes} classes, got {len(self.class_names)}."
            )
        sizes = [config.num_inputs] + [config.hidden_size] * config.num_hidden_layers
        hidden = [DeployedLayer(config, *pair, config.v_threshold) for pair in pairwise(sizes)]
        readout_threshold = READOUT_THRESHOLD if config.decision == "spike_count" else math.inf
        readout = DeployedLayer(config, sizes[-1], config.num_classes, readout_threshold)
        self.layers = nn.ModuleList([*hidden, readout])
        self.eval()

    @torch.no_grad()
    def forward(self, counts: Tensor, watch: Watch | None = None) -> Tensor:
        """Run from rest; ``watch(layer, spikes)`` sees the output of every hidden layer."""
        *hidden, readout = self.layers
        x = counts
        for index, layer in enumerate(hidden):
            x = layer(x)
            if watch is not None:
                watch(index, x)
            x = self.transmit(x)
        voltage: Tensor = readout(x)
        return voltage

    def transmit(self, spikes: Tensor) -> Tensor:
        """What the next layer hears of these spikes, same shape."""
        tau = self.config.synapse_tau
        return spikes if tau is None else synaptic_filter_scan(spikes, tau)

    def heard(self, counts: Tensor) -> list[Tensor]:
        """Input of every layer, each ``(T, B, I)``, the counts first: what operations are counted by."""
        inputs = [counts]
        self(counts, watch=lambda _, spikes: inputs.append(self.transmit(spikes)))
        return inputs

    def scores(self, counts: Tensor) -> Tensor:
        """Score of every class, shape ``(B, C)``, for counts ``(T, B, I)``; the largest is the answer."""
        return class_scores(self(counts), self.config.decision)

    def named_layers(self) -> dict[str, DeployedLayer]:
        """Layers by name: ``hidden1``, ``hidden2``, ..., ``readout``."""
        names = [f"hidden{index + 1}" for index in range(len(self.layers) - 1)] + ["readout"]
        return {
            name: layer
            for name, layer in zip(names, self.layers, strict=True)
            if isinstance(layer, DeployedLayer)
        }


@torch.no_grad()
def deploy(network: DelaySNN, class_names: tuple[str, ...] = (), channels_per_bin: int = 1) -> DeployedSNN:
    """Round the delays, fold the norms, drop what only training needs.

    Folded in double precision, then rounded once to the network's own.

    Args:
        network: The trained network; it is not changed.
        class_names: Names by label.
        channels_per_bin: Neighbouring channels of a recording that one input merges.

    Raises:
        InputError: If a weight is not a number: the training diverged.

    Example:
        >>> network = DelaySNN(NetworkConfig(num_inputs=4, num_classes=2, hidden_size=8)).eval()
        >>> counts = torch.ones(10, 3, 4)
        >>> torch.allclose(deploy(network)(counts), network(counts), atol=1e-5)
        True
    """
    deployed = DeployedSNN(network.config, class_names, channels_per_bin)
    deployed = deployed.to(next(network.parameters()))
    for block, layer in zip(network.hidden, deployed.named_layers().values(), strict=False):
        gain, bias = _affine(block.norm)
        _fill(layer, block.delays, gain)
        layer.bias.copy_(bias)
        layer.neuron.load_state_dict(block.neuron.state_dict())
    readout = deployed.named_layers()["readout"]
    _fill(readout, network.readout, torch.ones(1, dtype=torch.float64, device=readout.weight.device))
    readout.neuron.load_state_dict(network.readout_neuron.state_dict())
    check_numbers(deployed)
    return deployed


def _affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Gain and bias of a norm in evaluation, both ``(N,)``, in double precision."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return gain, norm.bias.double() - gain * norm.running_mean.double()


def _fill(layer: DeployedLayer, trained: DelayedLinear, gain: Tensor) -> None:
    layer.weight.copy_(trained.weight.double() * gain.view(-1, 1, 1))
    if trained.delay is not None:
        layer.delay.copy_(trained.delay.round())  # half to even, as in evaluation


def check_numbers(network: DeployedSNN) -> None:
    """See that every weight is a number and every delay within its window.

    Raises:
        InputError: If not.
    """
    for name, layer in network.named_layers().items():
        if not (layer.weight.isfinite().all() and layer.bias.isfinite().all()):
            raise InputError(
                f"the weights of {name} are not all numbers; take the checkpoint of an earlier epoch."
            )
        if layer.delay.min() < 0 or layer.delay.max() >= layer.max_delay:
            raise InputError(
                f"the delays of {name} must be in [0, {layer.max_delay - 1}] time steps,"
                f" got {int(layer.delay.min())} to {int(layer.delay.max())}."
            )
