r"""The neurons of :mod:`lit_delays.snn.neurons` with a backward pass by hand: same numbers, less traffic.

The plain loops leave a chain of small operations for autograd to walk back. Here a whole loop is one, which
saves the voltage before reset, :math:`h`, and nothing else. Gradients, with a bar, walk back in time:

.. math:: \bar x[t] = \bar h[t] = \bar s[t]\,\Theta'(h[t] - \vartheta)
                                 + \Bigl(1 - \frac{1}{\tau}\Bigr)(1 - s[t])\,\bar h[t+1]

Steps are read and written one by one, so that a step stays in the processor's cache.
Shape letters: T steps, B samples, N neurons; all tensors are ``(T, B, N)``.
"""

import math
from importlib.util import find_spec
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.memory_pool import recycled_like
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.neurons import (
    LIF,
    PLIF,
    AveragingIntegrator,
    LeakyIntegrator,
    Neuron,
    SoftResetLIF,
    SynapticFilter,
)
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.surrogates import Surrogate, derivative


class LifConstants(NamedTuple):
    """What a loop of these neurons knows.

    Attributes:
        keep: Share of the voltage that a step keeps, ``1 - 1 / tau``.
        v_threshold: Voltage at which a neuron spikes.
        surrogate: Stand-in for the derivative of a spike.
    """

    keep: float
    v_threshold: float
    surrogate: Surrogate


def is_plain_lif(neuron: Neuron) -> bool:
    """Whether it is one of these loops, and no subclass with a step of its own."""
    return type(neuron) in (LIF, PLIF) and cast(LIF, neuron).detach_reset


def _can(neuron: Neuron, current: Tensor) -> bool:
    """Kernels have every reset; other devices run :mod:`.neuron_steps` for those that are not plain."""
    has_kernels = type(neuron) in (LIF, PLIF, SoftResetLIF) and fits_triton(current)
    return is_plain_lif(neuron) or has_kernels


@run_neuron.register("lif", can=_can)
@uncompiled
def lif_scan(neuron: LIF, current: Tensor) -> Tensor:
    """Spikes of leaky integrate-and-fire neurons."""
    if not is_plain_lif(neuron):
        return LifKernels.apply(current, neuron.leak, neuron)  # type: ignore[no-any-return, no-untyped-call]
    settings = neuron.leak, neuron.v_threshold, neuron.surrogate
    return _Lif.apply(current, *settings)  # type: ignore[no-any-return, no-untyped-call]


@run_neuron.register("leaky_integrator", can=lambda neuron, current: type(neuron) is LeakyIntegrator)
@uncompiled
def leaky_integral_scan(neuron: LeakyIntegrator, current: Tensor) -> Tensor:
    """Voltage of leaky neurons that never fire."""
    return _LeakyIntegral.apply(current, neuron.leak)  # type: ignore[no-any-return, no-untyped-call]


@run_neuron.register("averaging", can=lambda neuron, current: type(neuron) is AveragingIntegrator)
@uncompiled
def averaging_scan(neuron: AveragingIntegrator, current: Tensor) -> Tensor:
    """Voltage of neurons that average."""
    leak = neuron.leak
    return _LeakyIntegral.apply(current * leak, leak)  # type: ignore[no-any-return, no-untyped-call]


@run_neuron.register("synaptic_filter", can=lambda neuron, current: type(neuron) is SynapticFilter)
@uncompiled
def synaptic_filter_scan(neuron: SynapticFilter, current: Tensor) -> Tensor:
    """Spikes that linger as decaying currents."""
    return _SynapticFilter.apply(current, neuron.tau)  # type: ignore[no-any-return, no-untyped-call]


class _Lif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, current: Tensor, leak: Tensor | float, v_threshold: float, surrogate: Surrogate
    ) -> Tensor:
        keep = 1 - float(leak)
        scan = _triton().lif_forward if fits_triton(current) else _lif_forward
        spikes, v_mem = scan(current, keep, v_threshold)
        ctx.save_for_backward(v_mem)
        ctx.constants = keep, v_threshold, surrogate
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        (v_mem,), (_, v_threshold, _) = ctx.saved_tensors, ctx.constants
        scan = _triton().lif_backward if fits_triton(v_mem) else lif_backward
        grad = scan(grad, v_mem, *ctx.constants)
        return grad, grad_leak(grad, v_mem, v_threshold) if ctx.needs_input_grad[1] else None, None, None


class LifKernels(torch.autograd.Function):
    """On a GPU, with a soft reset or a gradient through the reset."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, leak: Tensor | float, neuron: LIF) -> Tensor:  # noqa: D102
        ctx.neuron, ctx.keep = neuron, 1 - float(leak)
        soft = isinstance(neuron, SoftResetLIF)
        spikes, v_mem = _triton().lif_forward(current, ctx.keep, neuron.v_threshold, soft)
        ctx.save_for_backward(spikes, v_mem)
        return spikes  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:  # noqa: D102
        (spikes, v_mem), neuron = ctx.saved_tensors, ctx.neuron
        kind = isinstance(neuron, SoftResetLIF), neuron.detach_reset
        settings = ctx.keep, neuron.v_threshold, neuron.surrogate
        grad = _triton().lif_backward(grad, v_mem, *settings, *kind)
        if not ctx.needs_input_grad[1]:
            return grad, None, None
        return grad, -torch.sum(grad[1:] * neuron.reset(v_mem, spikes)[:-1]), None


def fits_triton(x: Tensor) -> bool:
    """Triton takes numbers as float32, too coarse for double precision."""
    return x.is_cuda and x.dtype != torch.float64 and find_spec("triton") is not None


def _triton() -> Any:
    """Imported when a GPU asks for it: the loops below run on every device."""
    from lit_delays.snn.fast import lif_triton

    return lif_triton


def _lif_forward(current: Tensor, keep: float, v_threshold: float) -> tuple[Tensor, Tensor]:
    spikes, v_mem = recycled_like(current), recycled_like(current)
    rest = torch.zeros_like(current[0])
    for x, h, s in zip(current, v_mem, spikes, strict=True):
        torch.add(x, rest, alpha=keep, out=h)
        torch.ge(h, v_threshold, out=s)
        torch.addcmul(h, h, s, value=-1, out=rest)  # h (1 - s)
    return spikes, v_mem


def lif_backward(
    grad: Tensor,
    v_mem: Tensor,
    keep: float,
    v_threshold: float,
    surrogate: Surrogate,
    mask: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Gradient of the currents from that of the spikes; ``out`` may be ``v_mem``, which then is lost.

    With a mask ``(1, B, N)`` the gradient that is given is that of the product of both.
    """
    result, later = recycled_like(v_mem) if out is None else out, torch.zeros_like(v_mem[0])
    for t in range(len(v_mem) - 1, -1, -1):
        silent = (v_mem[t] < v_threshold).to(v_mem.dtype)
        above = grad[t] if mask is None else grad[t] * mask[0]
        here = derivative(surrogate, v_mem[t] - v_threshold) * above
        later = torch.addcmul(here, silent, later, value=keep, out=result[t])
    return result


class _LeakyIntegral(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, leak: Tensor | float) -> Tensor:
        v_mem, last, ctx.keep = recycled_like(current), torch.zeros_like(current[0]), 1 - float(leak)
        for x, v in zip(current, v_mem, strict=True):
            last = torch.add(x, last, alpha=ctx.keep, out=v)
        if ctx.needs_input_grad[1]:
            ctx.save_for_backward(v_mem)
        return v_mem

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        result, later = recycled_like(grad), torch.zeros_like(grad[0])
        for t in range(len(grad) - 1, -1, -1):
            later = torch.add(grad[t], later, alpha=ctx.keep, out=result[t])
        leak = grad_leak(result, ctx.saved_tensors[0], math.inf) if ctx.needs_input_grad[1] else None
        return result, leak


class _SynapticFilter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, tau: float) -> Tensor:
        trace, last = recycled_like(spikes), torch.zeros_like(spikes[0])
        for s, current in zip(spikes, trace, strict=True):
            last = torch.addcmul(s, last, 1 - (1 - s) / tau, out=current)
        ctx.save_for_backward(spikes, trace)
        ctx.tau = tau
        return trace

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        spikes, trace = ctx.saved_tensors
        result, later = recycled_like(grad), torch.zeros_like(grad[0])
        for t in range(len(grad) - 1, -1, -1):
            later = grad[t] + later
            before = trace[t - 1] if t else torch.zeros_like(later)
            torch.addcmul(later, later, before, value=1 / ctx.tau, out=result[t])
            later = later * (1 - (1 - spikes[t]) / ctx.tau)
        return result, None


def grad_leak(grad: Tensor, v_mem: Tensor, v_threshold: float) -> Tensor:
    """Every step lost ``leak`` times the voltage that the step before had left."""
    rest = torch.where(v_mem < v_threshold, v_mem, 0)
    return -torch.sum(grad[1:] * rest[:-1])
