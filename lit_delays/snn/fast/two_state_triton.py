"""The loops of :class:`~.neuron_steps.TwoStateSteps` as two GPU kernels: states and sums stay in registers.

A program walks one block of neurons through all steps. Multiplications and additions are not fused, so that
spikes are those of the plain loop. Shape letters: T steps, B samples, N neurons.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

from lit_delays.snn.neurons.two_states import TwoStateNeuron
from lit_delays.snn.surrogates import derivative

BLOCK = 256  # neurons of one program: few, so that a batch fills the whole card


def forward(
    neuron: TwoStateNeuron, current: Tensor, coefficients: Sequence[Tensor], states: Tensor
) -> Tensor:
    """Spikes ``(T, B, N)``; writes the potentials before reset and the slow states into ``states``."""
    current = current.contiguous()
    spikes, size = torch.empty_like(current), current[0].numel()
    _forward[(triton.cdiv(size, BLOCK),)](
        current, spikes, *states, torch.stack(tuple(coefficients)), *_settings(neuron, current),
        enable_fp_fusion=False,
    )  # fmt: skip
    return spikes


def backward(
    neuron: TwoStateNeuron, grad: Tensor, current: Tensor, coefficients: Sequence[Tensor], states: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Gradients of the currents, and of the coefficients, from that of the spikes."""
    grad, current, (potential, slow) = grad.contiguous(), current.contiguous(), states
    excess = neuron.gain * potential - neuron.v_threshold
    slope = derivative(neuron.surrogate, excess).mul_(neuron.gain)
    result, size = torch.empty_like(current), current[0].numel()
    sums = torch.zeros(len(coefficients), *current.shape[1:], dtype=torch.float32, device=current.device)
    _backward[(triton.cdiv(size, BLOCK),)](
        grad, current, potential, slow, slope, result, sums, torch.stack(tuple(coefficients)),
        *_settings(neuron, current), enable_fp_fusion=False,
    )  # fmt: skip
    totals = sums.sum(dim=1).to(coefficients[0].dtype)
    return result, totals.unbind()


def _settings(neuron: TwoStateNeuron, current: Tensor) -> tuple[Any, ...]:
    num_steps, num_neurons, size = len(current), current.shape[2], current[0].numel()
    sizes = num_steps, (num_steps - 1) * size, num_neurons, size
    return neuron.gain, neuron.v_threshold, *sizes, neuron.strict, neuron.resets, BLOCK


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _fires(u, gain, v_threshold, STRICT: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    excess = gain * u - v_threshold
    return excess > 0 if STRICT else excess >= 0


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _coefficient(c, index, num_neurons, neuron, inside):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return tl.load(c + index * num_neurons + neuron, mask=inside, other=0.0).to(tl.float32)


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _forward(  # type: ignore[no-untyped-def]  # noqa: ANN202
    current, spikes, potential, slow, c, gain, v_threshold, num_steps, last, num_neurons, size,  # noqa: ANN001
    STRICT: tl.constexpr, RESETS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, neuron = at < size, at % num_neurons
    uu = _coefficient(c, 0, num_neurons, neuron, inside)
    uw = _coefficient(c, 1, num_neurons, neuron, inside)
    uz = _coefficient(c, 2, num_neurons, neuron, inside)
    ui = _coefficient(c, 3, num_neurons, neuron, inside)
    wu = _coefficient(c, 4, num_neurons, neuron, inside)
    ww = _coefficient(c, 5, num_neurons, neuron, inside)
    wz = _coefficient(c, 6, num_neurons, neuron, inside)
    rest = tl.zeros((BLOCK,), tl.float32)
    w = tl.zeros((BLOCK,), tl.float32)
    z = tl.zeros((BLOCK,), tl.float32)
    for _ in range(num_steps):
        x = tl.load(current + at, mask=inside, other=0.0).to(tl.float32)
        u = uu * rest + uw * w + uz * z + ui * x
        w = wu * rest + ww * w + wz * z
        u = u.to(current.dtype.element_ty).to(tl.float32)  # as it is kept: the way back sees these spikes
        fired = _fires(u, gain, v_threshold, STRICT)
        z = fired.to(tl.float32)
        rest = tl.where(fired, 0.0, u) if RESETS else u
        tl.store(potential + at, u.to(current.dtype.element_ty), mask=inside)
        tl.store(slow + at, w.to(current.dtype.element_ty), mask=inside)
        tl.store(spikes + at, z.to(current.dtype.element_ty), mask=inside)
        at += size


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _backward(  # type: ignore[no-untyped-def]  # noqa: ANN202
    grad, current, potential, slow, slope, result, sums, c, gain, v_threshold, num_steps, last,  # noqa: ANN001
    num_neurons, size, STRICT: tl.constexpr, RESETS: tl.constexpr, BLOCK: tl.constexpr,  # noqa: ANN001
):  # fmt: skip
    first = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside, neuron, at = first < size, first % num_neurons, first + last
    uu = _coefficient(c, 0, num_neurons, neuron, inside)
    uw = _coefficient(c, 1, num_neurons, neuron, inside)
    uz = _coefficient(c, 2, num_neurons, neuron, inside)
    ui = _coefficient(c, 3, num_neurons, neuron, inside)
    wu = _coefficient(c, 4, num_neurons, neuron, inside)
    ww = _coefficient(c, 5, num_neurons, neuron, inside)
    wz = _coefficient(c, 6, num_neurons, neuron, inside)
    later_u = tl.zeros((BLOCK,), tl.float32)
    later_w = tl.zeros((BLOCK,), tl.float32)
    for_uu, for_uw, for_uz, for_ui = later_u, later_u, later_u, later_u
    for_wu, for_ww, for_wz = later_u, later_u, later_u
    for _ in range(num_steps):
        u = tl.load(potential + at, mask=inside, other=0.0).to(tl.float32)
        w = tl.load(slow + at, mask=inside, other=0.0).to(tl.float32)
        fired = _fires(u, gain, v_threshold, STRICT)
        z = fired.to(tl.float32)
        rest = tl.where(fired, 0.0, u) if RESETS else u
        for_uu += later_u * rest
        for_uw += later_u * w
        for_uz += later_u * z
        for_wu += later_w * rest
        for_ww += later_w * w
        for_wz += later_w * z
        to_spike = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32) + later_u * uz + later_w * wz
        to_rest = later_u * uu + later_w * wu
        later_w = later_u * uw + later_w * ww
        steep = tl.load(slope + at, mask=inside, other=0.0).to(tl.float32)
        later_u = steep * to_spike + (tl.where(fired, 0.0, to_rest) if RESETS else to_rest)
        for_ui += later_u * tl.load(current + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(result + at, (later_u * ui).to(result.dtype.element_ty), mask=inside)
        at -= size
    tl.store(sums + first, for_uu, mask=inside)
    tl.store(sums + size + first, for_uw, mask=inside)
    tl.store(sums + 2 * size + first, for_uz, mask=inside)
    tl.store(sums + 3 * size + first, for_ui, mask=inside)
    tl.store(sums + 4 * size + first, for_wu, mask=inside)
    tl.store(sums + 5 * size + first, for_ww, mask=inside)
    tl.store(sums + 6 * size + first, for_wz, mask=inside)
