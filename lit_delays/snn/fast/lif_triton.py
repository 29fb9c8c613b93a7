r"""Leaky integrate-and-fire on a GPU: one kernel launch for all time steps, one more for the gradient.

A step of a network is bound by launches there. Each program takes a block of neurons, keeps their voltage in
registers and walks through time; the equations are those of :mod:`.lif_scan`, which calls this module for
tensors on CUDA where Triton can be imported. Multiplications and additions are not fused, so that spikes are
those of the plain loop.
Shape letters: T steps, B samples, N neurons; all tensors are contiguous ``(T, B, N)``.
"""

import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

from lit_delays.snn.surrogates import Surrogate, derivative

BLOCK = 256  # neurons of one program: few, so that a batch fills the whole card


def lif_forward(
    current: Tensor, keep: float, v_threshold: float, soft: bool = False
) -> tuple[Tensor, Tensor]:
    """Spikes, and voltages before a reset, which is soft or hard."""
    current = current.contiguous()
    spikes, v_mem = torch.empty_like(current), torch.empty_like(current)
    size = current[0].numel()
    _forward[(triton.cdiv(size, BLOCK),)](
        current, spikes, v_mem, keep, v_threshold, len(current), size, SOFT=soft, BLOCK=BLOCK,
        enable_fp_fusion=False,
    )  # fmt: skip
    return spikes, v_mem


def lif_backward(
    grad: Tensor,
    v_mem: Tensor,
    keep: float,
    v_threshold: float,
    surrogate: Surrogate,
    soft: bool = False,
    detach: bool = True,
) -> Tensor:
    """Gradient of the currents from that of the spikes; through the reset too if it is not detached."""
    grad, slope = grad.contiguous(), derivative(surrogate, v_mem - v_threshold)
    result, size = torch.empty_like(v_mem), v_mem[0].numel()
    _backward[(triton.cdiv(size, BLOCK),)](
        grad, slope, v_mem, result, keep, v_threshold, (len(v_mem) - 1) * size, size,
        SOFT=soft, DETACH=detach, BLOCK=BLOCK, enable_fp_fusion=False,
    )  # fmt: skip
    return result


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _forward(  # type: ignore[no-untyped-def]  # noqa: ANN202
    current, spikes, v_mem, keep, v_threshold, num_steps, size, SOFT: tl.constexpr, BLOCK: tl.constexpr,  # noqa: ANN001
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    rest = tl.zeros((BLOCK,), current.dtype.element_ty)
    for _ in range(num_steps):
        h = (rest * keep + tl.load(current + at, mask=inside, other=0.0)).to(rest.dtype)
        fired = h >= v_threshold
        tl.store(v_mem + at, h, mask=inside)
        tl.store(spikes + at, fired.to(h.dtype), mask=inside)
        rest = tl.where(fired, h - v_threshold if SOFT else 0.0, h).to(h.dtype)
        at += size


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _backward(  # type: ignore[no-untyped-def]  # noqa: ANN202
    grad, slope, v_mem, result, keep, v_threshold, last, size,  # noqa: ANN001
    SOFT: tl.constexpr, DETACH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    at += last
    later = tl.zeros((BLOCK,), v_mem.dtype.element_ty)
    for _ in range(last // size + 1):
        h = tl.load(v_mem + at, mask=inside, other=0.0)
        steep = tl.load(slope + at, mask=inside, other=0.0)
        to_spike, to_rest = tl.load(grad + at, mask=inside, other=0.0), later * keep
        if not DETACH:  # what a spike takes away
            to_spike = to_spike - to_rest * (v_threshold if SOFT else h)
        through = to_rest if SOFT else tl.where(h >= v_threshold, 0.0, to_rest)
        later = (steep * to_spike + through).to(later.dtype)
        tl.store(result + at, later, mask=inside)
        at -= size
