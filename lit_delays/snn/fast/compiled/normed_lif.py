"""Norm and neurons of :mod:`lit_delays.snn.fast.normed_lif` in the compiled loops of :mod:`.lif`.

Shape letters: T steps, B samples, N neurons.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_delays.snn.fast.compiled import lif
from lit_delays.snn.fast.compiled.blocks import NUMBERS, Loops, share_out
from lit_delays.snn.fast.compiled.threads import run
from lit_delays.snn.fast.compiled.vectors import BYTES
from lit_delays.snn.fast.lif_scan import LifConstants
from lit_delays.snn.fast.memory_pool import recycled_like
from lit_delays.snn.fast.scratch import scratch_like
from lit_delays.snn.surrogates import ATan, Boxcar, FastSigmoid, Surrogate, Triangle

CACHE = 2**18  # bytes of a thread's voltages
BESIDE = 5  # vectors, beside the voltages of every step: four sums and a place
SURROGATES: dict[type[Surrogate], Callable[[Any], tuple[float, float]]] = {
    ATan: lambda it: (it.slope / 2, math.pi / 2 * it.slope),
    FastSigmoid: lambda it: (1.0, it.slope),
    Triangle: lambda it: (it.scale, it.slope),
    Boxcar: lambda it: (1.0, it.half_width),
}
"""Two constants of those that the loops know, in the order of their numbers there."""


def can(current: Tensor, surrogate: Surrogate) -> bool:
    """Whether the loops know this surrogate, and a sample's neurons fill a vector."""
    known = current.dtype in NUMBERS and type(surrogate) in SURROGATES
    return known and current.shape[-1] * current.itemsize >= BYTES


def spikes(
    current: Tensor,
    scale: Tensor,
    shift: Tensor,
    mask: Tensor,
    lengths: Tensor | None,
    constants: LifConstants,
) -> Tensor:
    """Of normed currents ``scale x + shift``, times the mask."""
    output = recycled_like(current)
    tensors = {"current": current, "scale": scale, "shift": shift, "mask": mask, "output": output}
    _run(lif.SPIKES, lengths, constants, **tensors)
    return output


def grads(
    grad: Tensor,
    current: Tensor,
    mean: Tensor,
    scale: Tensor,
    shift: Tensor,
    mask: Tensor,
    lengths: Tensor | None,
    constants: LifConstants,
    learns_leak: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """As of the loops in torch; the gradient of the normed currents lies in scratch memory."""
    given = {"grad": grad, "current": current, "mean": mean, "scale": scale, "shift": shift, "mask": mask}
    output = scratch_like("outputs", current, *current.shape)
    sums, products, losses = (torch.empty_like(current[0]) for _ in range(3))
    results = {"output": output, "sums": sums, "products": products, "losses": losses}
    _run(lif.GRADS, lengths, constants, **given, **results)
    return output, sums.sum(dim=0), products.sum(dim=0), -losses.sum() if learns_leak else None


def through_norm(
    grad: Tensor,
    current: Tensor,
    scale: Tensor,
    along: Tensor,
    offset: Tensor,
    lengths: Tensor | None,
) -> Tensor:
    """``scale grad + along x + offset``."""
    output = recycled_like(current)
    tensors = {"grad": grad, "current": current, "scale": scale, "along": along, "offset": offset}
    _run(lif.THROUGH_NORM, lengths, None, **tensors, output=output)
    return output


def _lengths(lengths: Tensor | None, num_steps: int, num_samples: int) -> Tensor:
    return torch.full((num_samples,), num_steps, device="cpu") if lengths is None else lengths.long()


def _run(loops: Loops, lengths: Tensor | None, constants: LifConstants | None, **tensors: Tensor) -> None:
    current, output = tensors["current"], tensors["output"]
    (num_steps, num_samples, num_neurons), lanes = current.shape, BYTES // current.itemsize
    tensors["lengths"] = _lengths(lengths, num_steps, num_samples)
    job = np.zeros(1, lif.JOB)
    num_bytes = BYTES * (num_steps + BESIDE)
    width = max(1, CACHE // num_bytes)
    share_out(job, num_samples * -(-num_neurons // lanes), width, num_bytes * width)
    job["num_steps"], job["num_samples"], job["num_neurons"] = num_steps, num_samples, num_neurons
    job["streams"] = output.data_ptr() % BYTES == 0 and num_neurons % lanes == 0
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    for name, tensor in kept.items():
        job[name] = tensor.data_ptr()
    numbers = np.zeros(4, NUMBERS[current.dtype])
    if constants is not None:
        kind = type(constants.surrogate)
        job["surrogate"] = list(SURROGATES).index(kind)
        numbers[:] = constants.keep, constants.v_threshold, *SURROGATES[kind](constants.surrogate)
    job["constants"] = numbers.ctypes.data
    run(loops[current.dtype], job)
