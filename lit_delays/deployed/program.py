"""A deployed network as a ``torch.export`` program: plain operations, for measuring latency elsewhere.

Delays become taps of a convolution and the loop over time is unrolled, so a program has one length.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lit_delays.deployed.network import DeployedLayer, DeployedSNN
from lit_delays.deployed.place import new_place
from lit_delays.errors import InputError
from lit_delays.snn.convolution import direct_sum
from lit_delays.snn.decisions import class_scores
from lit_delays.snn.kernels import deployed_kernel


class UnrolledSNN(nn.Module):
    """The deployed network without its fast paths, which ``torch.export`` cannot follow.

    Args:
        network: The deployed network.

    Shape:
        Input counts ``(T, B, I)``, output scores ``(B, C)``.
    """

    def __init__(self, network: DeployedSNN) -> None:
        super().__init__()
        self.config = network.config
        self.layers = nn.ModuleList(_Unrolled(layer) for layer in network.named_layers().values())

    def forward(self, counts: Tensor) -> Tensor:  # noqa: D102
        x = counts
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.layers) - 1 and self.config.synapse_tau is not None:
                x = _linger(x, self.config.synapse_tau)
        return class_scores(x, self.config.decision)


class _Unrolled(nn.Module):
    kernel: Tensor
    bias: Tensor

    def __init__(self, layer: DeployedLayer) -> None:
        super().__init__()
        self.register_buffer("kernel", deployed_kernel(layer.weight, layer.delay, layer.max_delay))
        self.register_buffer("bias", layer.bias)
        self.kind, self.v_threshold = layer.neuron.kind, layer.neuron.v_threshold
        self.keep, self.extra_steps = 1 - float(layer.neuron.leak), layer.extra_steps

    def forward(self, x: Tensor) -> Tensor:
        current = direct_sum(x, self.kernel, x.shape[0] + self.extra_steps) + self.bias
        fires = math.isfinite(self.v_threshold)
        if self.kind == "relu" and fires:
            return torch.relu(current)
        if self.kind in ("relu", "heaviside"):
            return (current >= self.v_threshold).to(current.dtype) if fires else current
        v_mem, rest = [], torch.zeros_like(current[0])
        for step in current.unbind():
            v_mem.append(torch.add(step, rest, alpha=self.keep))
            rest = v_mem[-1] * (v_mem[-1] < self.v_threshold) if fires else v_mem[-1]
        voltage = torch.stack(v_mem)
        return (voltage >= self.v_threshold).to(voltage.dtype) if fires else voltage


def _linger(spikes: Tensor, tau: float) -> Tensor:
    current, trace = torch.zeros_like(spikes[0]), []
    for step in spikes.unbind():
        current = current * (1 - (1 - step) / tau) + step
        trace.append(current)
    return torch.stack(trace)


def to_program(network: DeployedSNN, num_steps: int) -> ExportedProgram:
    """Trace the network for clips of ``num_steps`` and any number of them.

    Args:
        network: The deployed network.
        num_steps: Length of a clip in time steps, at least 1.

    Raises:
        InputError: If ``num_steps`` is below 1.
    """
    if num_steps < 1:
        raise InputError(f"`--num-steps` must be at least 1, got {num_steps}.")
    example = torch.zeros(
        num_steps, 2, network.config.num_inputs, dtype=network.named_layers()["readout"].bias.dtype
    )
    return torch.export.export(
        UnrolledSNN(network).eval(), (example,), dynamic_shapes=({1: Dim("batch", min=1)},), strict=False
    )


def save(network: DeployedSNN, path: Path, num_steps: int) -> None:
    """Write the program as a ``.pt2`` file, for ``torch.export.load``.

    Raises:
        InputError: If ``num_steps`` is below 1, or the file exists or cannot be written.
    """
    program = to_program(network, num_steps)
    with new_place(path) as place:
        torch.export.save(program, place)
