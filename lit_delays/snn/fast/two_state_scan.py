r"""Neurons of two states as one operation with a backward pass by hand: one for all of them.

It keeps the potential before reset, and nothing else: spikes follow from it, and the second state is made
again. Gradients, with a bar, walk back in time; :math:`\hat u` is what goes on after a reset:

.. math:: \bar z[t] = \bar s[t] + c_{uz} \bar u[t+1] + c_{wz} \bar w[t+1], \qquad
          \bar{\hat u}[t] = c_{uu} \bar u[t+1] + c_{wu} \bar w[t+1], \qquad
          \bar w[t] = c_{uw} \bar u[t+1] + c_{ww} \bar w[t+1],

.. math:: \bar u[t] = g\,\Theta'(g u[t] - \vartheta)\, \bar z[t] + \bar{\hat u}[t]\,(1 - z[t])^{[resets]}

Steps are read and written one by one, so that a step stays in the processor's cache.
Shape letters: T steps, B samples, N neurons; all tensors are ``(T, B, N)``, coefficients ``(N,)``.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.memory_pool import recycled_like
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.neurons.base import Neuron, run_neuron
from lit_delays.snn.neurons.two_states import Coefficients, TwoStateNeuron
from lit_delays.snn.surrogates import Surrogate, derivative, is_above


class Settings(NamedTuple):
    """What is the same in every neuron of a population."""

    gain: float
    v_threshold: float
    strict: bool
    resets: bool
    surrogate: Surrogate


def _can(neuron: Neuron, current: Tensor) -> bool:
    """Whether the neuron is what its coefficients say: no subclass has a step or a start of its own."""
    return (
        isinstance(neuron, TwoStateNeuron)
        and type(neuron).step is TwoStateNeuron.step
        and type(neuron).initial_state is TwoStateNeuron.initial_state
    )


@run_neuron.register("two_states", can=_can)
@uncompiled
def two_state_scan(neuron: TwoStateNeuron, current: Tensor) -> Tensor:
    """Spikes of neurons with two states."""
    settings = Settings(neuron.gain, neuron.v_threshold, neuron.strict, neuron.resets, neuron.surrogate)
    return _TwoStates.apply(current, settings, *neuron.coefficients())  # type: ignore


class _TwoStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, settings: Settings, *coefficients: Tensor) -> Tensor:
        potential, spikes = recycled_like(current), recycled_like(current)
        _forward(current, Coefficients(*coefficients), settings, potential, spikes)
        ctx.save_for_backward(current, potential, *coefficients)
        ctx.settings = settings
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        current, potential, *coefficients = ctx.saved_tensors
        c = Coefficients(*coefficients)
        slow = _second_state(potential, c, ctx.settings)
        grad_current, grads = _backward(grad, current, potential, slow, c, ctx.settings)
        return grad_current, None, *grads


def _forward(current: Tensor, c: Coefficients, settings: Settings, potential: Tensor, spikes: Tensor) -> None:
    rest = slow = z = torch.zeros_like(current[0])
    for x, u, s in zip(current, potential, spikes, strict=True):
        torch.mul(x, c.ui, out=u)
        u.addcmul_(rest, c.uu).addcmul_(slow, c.uw).addcmul_(z, c.uz)
        slow = (slow * c.ww).addcmul_(rest, c.wu).addcmul_(z, c.wz)
        z = s.copy_(is_above(settings.gain * u - settings.v_threshold, settings.strict))
        rest = torch.addcmul(u, u, z, value=-1) if settings.resets else u


def _second_state(potential: Tensor, c: Coefficients, settings: Settings) -> Tensor:
    """The slow state after every step, made again by the same operations as in the forward pass."""
    states = recycled_like(potential)
    rest = slow = z = torch.zeros_like(potential[0])
    for u, w in zip(potential, states, strict=True):
        slow = torch.mul(slow, c.ww, out=w).addcmul_(rest, c.wu).addcmul_(z, c.wz)
        z = is_above(settings.gain * u - settings.v_threshold, settings.strict)
        rest = torch.addcmul(u, u, z, value=-1) if settings.resets else u
    return states


def _backward(
    grad: Tensor, current: Tensor, potential: Tensor, slow: Tensor, c: Coefficients, settings: Settings
) -> tuple[Tensor, list[Tensor]]:
    result = recycled_like(current)
    sums = Coefficients(*(torch.zeros_like(current[0]) for _ in c))
    later_u = later_w = torch.zeros_like(current[0])
    for t in range(len(current) - 1, -1, -1):
        u = potential[t]
        excess = settings.gain * u - settings.v_threshold
        z = is_above(excess, settings.strict)
        rest = torch.addcmul(u, u, z, value=-1) if settings.resets else u
        _add_products(sums, later_u, later_w, rest, slow[t], z)
        to_spike = torch.addcmul(grad[t], later_u, c.uz).addcmul_(later_w, c.wz)
        to_rest = (later_u * c.uu).addcmul_(later_w, c.wu)
        later_w = (later_u * c.uw).addcmul_(later_w, c.ww)
        if settings.resets:
            to_rest.addcmul_(to_rest, z, value=-1)
        later_u = to_rest.addcmul_(derivative(settings.surrogate, excess), to_spike, value=settings.gain)
        torch.mul(later_u, c.ui, out=result[t])
        sums.ui.addcmul_(later_u, current[t])
    return result, [total.sum(dim=0) for total in sums]


def _add_products(
    sums: Coefficients, later_u: Tensor, later_w: Tensor, rest: Tensor, slow: Tensor, z: Tensor
) -> None:
    """Each coefficient weighed something of this step in the next one."""
    for total, later, given in (
        (sums.uu, later_u, rest),
        (sums.uw, later_u, slow),
        (sums.uz, later_u, z),
        (sums.wu, later_w, rest),
        (sums.ww, later_w, slow),
        (sums.wz, later_w, z),
    ):
        total.addcmul_(later, given)
