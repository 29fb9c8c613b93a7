r"""Neurons whose output comes back to them, as one operation with a backward pass by hand.

The loop over time cannot be avoided: what is due in a step depends on the spikes of the step before. But most
of what is due depends on older ones. So time goes in blocks: what all earlier spikes bring to a block is one
product, and only spikes of the block itself are added step by step. It keeps the voltage, and nothing else.
On a GPU two kernels do all steps, where the synapses of a neuron share their delay: :mod:`.recurrent_triton`.

The gradient is the same recurrence backwards in time. With the gradient of the current :math:`\bar x[t]`,

.. math:: \bar z_j[t] = \bar s_j[t] + \sum_k \sum_o \kappa_{k,o,j}\; m_o \bar x_o[t+1+k], \qquad
          \bar\kappa_{k,o,j} = \sum_t m_o \bar x_o[t]\; z_j[t-1-k],

where :math:`\bar s` comes from the layers above. Where all synapses of a neuron share their delay,
:math:`\kappa_{k,o,j} = w_{o,j}\,a_{k,j}`: its spikes are delayed once, then weighed.

Shape letters: T steps, B samples, N neurons, K lags, C steps of a block. Tensors over time are ``(T, B, N)``
as everywhere; delayed ones ``(N, T, B)``, so that those of one neuron lie together.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast.lif_scan import fits_triton
from lit_delays.snn.fast.memory_pool import recycled_like
from lit_delays.snn.fast.neuron_steps import NeuronSteps, steps_of
from lit_delays.snn.fast.past_sums import (
    AxonalSums,
    DendriticSums,
    DenseSums,
    PastSums,
    shared_grads,
)
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.neurons import Neuron
from lit_delays.snn.neurons.two_states import Coefficients
from lit_delays.snn.recurrence import run_recurrent
from lit_delays.snn.separated_sum import delayed_each
from lit_delays.snn.synapses import Synapses


def _can(neuron: Neuron, synapses: Synapses, current: Tensor, mask: Tensor) -> bool:
    return steps_of(neuron) is not None


@run_recurrent.register("fused", can=_can)
@uncompiled
def recurrent_scan(neuron: Neuron, synapses: Synapses, current: Tensor, mask: Tensor) -> Tensor:
    """Spikes of neurons with recurrent synapses; in full precision under autocast too."""
    steps = steps_of(neuron)
    assert steps is not None
    with torch.autocast(current.device.type, enabled=False):
        taps, weight = _taps(synapses)
        if (bias := getattr(synapses, "bias", None)) is not None:
            current = current + mask * bias
        inputs = current, mask, taps, weight, steps, neuron, *steps.learned_by(neuron)
        has_kernels = weight is not None and current.dtype == torch.float32 and fits_triton(current)
        loop = RecurrentKernels if has_kernels else _Recurrent
        spikes: Tensor = loop.apply(*inputs)  # type: ignore[no-untyped-call]
    return spikes


def _taps(synapses: Synapses) -> tuple[Tensor, Tensor | None]:
    """Taps by source ``(K, N)`` and weights behind them, or of all pairs ``(K, N, N)`` and None."""
    parts = synapses.separated()
    if parts is None or parts.source is None:
        return synapses.dense_kernel(), None
    return parts.source, parts.weight


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        mask: Tensor,
        taps: Tensor,
        weight: Tensor | None,
        steps: type[NeuronSteps],
        neuron: Neuron,
        *learned: Tensor,
    ) -> Tensor:
        spikes, states = recycled_like(current), steps.states_for(current)
        total = recycled_like(current) if any(ctx.needs_input_grad[6:]) else None
        neurons, past = steps(neuron, states, learned), _past(taps, weight, current)
        neurons.start()
        for t, x in enumerate(current):
            out = None if total is None else total[t]
            neurons.forward(t, torch.addcmul(x, past.due(t), mask, out=out), out=spikes[t])
            past.add(t, spikes[t])
        ctx.save_for_backward(spikes, mask, taps, weight, total, states, *learned)
        ctx.steps, ctx.neuron = steps, neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        spikes, mask, taps, weight, total, states, *learned = ctx.saved_tensors
        neurons, result = ctx.steps(ctx.neuron, states, learned), recycled_like(grad)
        future, num_steps = _future(taps, weight, grad), len(grad)
        neurons.turn()
        for t in reversed(range(num_steps)):
            from_now = num_steps - 1 - t
            now = None if total is None else total[t]
            neurons.backward(t, grad[t] + future.due(from_now), now, out=result[t])
            future.add(from_now, result[t] * mask)
        grads = _grads(spikes, result * mask, taps, weight, future)
        return result, None, *grads, None, None, *neurons.grads()


class RecurrentKernels(torch.autograd.Function):
    """The same on a GPU, where all synapses of a neuron share their delay."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,
        current: Tensor,
        mask: Tensor,
        taps: Tensor,
        weight: Tensor,
        steps: type[NeuronSteps],
        neuron: Neuron,
        *learned: Tensor,
    ) -> Tensor:
        from lit_delays.snn.fast import recurrent_triton

        equation = recurrent_triton.Equation.of(neuron, learned, current)
        inputs = current.contiguous(), mask.contiguous(), taps.contiguous(), weight
        spikes, potential, slow, total = recurrent_triton.forward(equation, *inputs)
        learns = any(ctx.needs_input_grad[6:])
        for_learned = slow if learns and steps.num_states > 1 else None, total if learns else None
        ctx.save_for_backward(spikes, potential, *inputs[1:], *for_learned)
        ctx.equation, ctx.neuron = equation, neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        from lit_delays.snn.fast import recurrent_triton

        spikes, potential, mask, taps, weight, *for_learned = ctx.saved_tensors
        equation = ctx.equation
        bars, back = recurrent_triton.backward(equation, grad, potential, mask, taps, weight)
        result = bars[0] * equation.coefficients[Coefficients._fields.index("ui")]
        with torch.enable_grad():
            late = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
            leaf = taps.detach().requires_grad_()
            delayed = delayed_each(late, leaf, len(late))
        grad_taps = torch.autograd.grad(delayed, leaf, back)[0]
        grad_weight = torch.einsum("tbo,tbj->oj", result * mask, delayed.detach())
        learned = recurrent_triton.learned_grads(equation, ctx.neuron, bars, potential, *for_learned)
        return result, None, grad_taps, grad_weight, None, None, *learned


def _past(taps: Tensor, weight: Tensor | None, current: Tensor) -> PastSums:
    if weight is None:
        return DenseSums(taps, *current.shape[:2])
    return AxonalSums(taps, weight, *current.shape[:2])


def _future(taps: Tensor, weight: Tensor | None, grad: Tensor) -> PastSums:
    """What later steps bring back to the spikes: the transpose, in reversed time."""
    if weight is None:
        return DenseSums(taps.mT, *grad.shape[:2])
    return DendriticSums(taps, weight.T, *grad.shape[:2])


def _grads(
    spikes: Tensor, grad: Tensor, taps: Tensor, weight: Tensor | None, future: PastSums
) -> tuple[Tensor, Tensor | None]:
    """Gradients of taps and weight, given that of the recurrent currents."""
    if weight is None:
        late = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
        with torch.enable_grad():
            kernel = taps.detach().requires_grad_()
            sums = delayed_sum(late, kernel, len(late))
        return torch.autograd.grad(sums, kernel, grad)[0], None
    assert isinstance(future, DendriticSums)
    return shared_grads(spikes, grad, taps, future)
