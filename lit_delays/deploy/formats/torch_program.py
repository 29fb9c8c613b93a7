"""A deployed network as a ``torch.export`` program: plain operations, for measuring latency elsewhere.

Tracing unrolls the loop over time, so a program has one length.
"""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lit_delays.deploy.deploy import deploy, whole
from lit_delays.deploy.output_path import new_output
from lit_delays.errors import InputError
from lit_delays.snn.network import Network


def to_program(network: Network, num_steps: int) -> ExportedProgram:
    """Trace the network for clips of ``num_steps`` and any number of them.

    Args:
        network: The network; one in training is deployed first.
        num_steps: Length of a clip in time steps, at least 1.

    Returns:
        Program from counts ``(T, B, I)`` to scores ``(B, C)``.

    Raises:
        InputError: If ``num_steps`` is below 1.
    """
    if num_steps < 1:
        raise InputError(f"`--num-steps` must be at least 1, got {num_steps}.")
    scores = _Scores(_with_constant_kernels(deploy(network).cpu()))
    example = torch.zeros(num_steps, 2, network.config.num_inputs, dtype=network.dtype)
    batch = {1: Dim("batch", min=1)}
    with torch.no_grad():
        return torch.export.export(scores, (example,), dynamic_shapes=(batch,), strict=False)


def save(network: Network, path: Path, num_steps: int) -> None:
    """Write the program as a ``.pt2`` file, for ``torch.export.load``.

    Raises:
        InputError: If ``num_steps`` is below 1, or the file exists or cannot be written.
    """
    program = to_program(network, num_steps)
    with new_output(path) as temporary:
        torch.export.save(program, temporary)


class _Scores(nn.Module):
    """What ``torch.export`` takes: a module whose forward gives the scores."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, counts: Tensor) -> Tensor:
        return self.network.scores(counts)


def _with_constant_kernels(network: Network) -> Network:
    """The kernels as tensors of the program, which else would make them anew for every batch."""
    for synapses in whole(network).values():
        synapses.register_buffer("kernel", synapses.dense_kernel())
        synapses.dense_kernel = partial(getattr, synapses, "kernel")  # type: ignore[method-assign]
    return network
