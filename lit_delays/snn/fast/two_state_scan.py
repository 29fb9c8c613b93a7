r"""Neurons of two states as one operation with a backward pass by hand: one for all of them.

Gradients, with a bar, walk back in time; :math:`\hat u` is what goes on after a reset:

.. math:: \bar z[t] = \bar s[t] + c_{uz} \bar u[t+1] + c_{wz} \bar w[t+1], \qquad
          \bar{\hat u}[t] = c_{uu} \bar u[t+1] + c_{wu} \bar w[t+1], \qquad
          \bar w[t] = c_{uw} \bar u[t+1] + c_{ww} \bar w[t+1],

.. math:: \bar u[t] = g\,\Theta'(g u[t] - \vartheta)\, \bar z[t] + \bar{\hat u}[t]\,(1 - z[t])^{[resets]}

On a GPU one kernel does all steps of the forward pass, another all of the backward pass; elsewhere it is a
loop over the steps of :class:`~.neuron_steps.TwoStateSteps`.
Shape letters: S states, T steps, B samples, N neurons; tensors over time are ``(T, B, N)``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.lif_scan import fits_triton
from lit_delays.snn.fast.neuron_steps import NeuronSteps, Scan, TwoStateSteps, steps_of
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.neurons.two_states import TwoStateNeuron


@run_neuron.register("two_states", can=lambda neuron, current: steps_of(neuron) is TwoStateSteps)
@uncompiled
def two_state_scan(neuron: TwoStateNeuron, current: Tensor) -> Tensor:
    """Spikes of neurons with two states."""
    scan = Kernels if fits_triton(current) else Scan
    inputs = current, TwoStateSteps, neuron, *TwoStateSteps.learned_by(neuron)
    return scan.apply(*inputs)  # type: ignore[no-any-return, no-untyped-call]


class Kernels(torch.autograd.Function):
    """The same on a GPU; the kernels are imported when one asks for them."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, current: Tensor, steps: type[NeuronSteps], neuron: TwoStateNeuron, *coefficients: Tensor
    ) -> Tensor:
        from lit_delays.snn.fast.two_state_triton import forward

        states = steps.states_for(current)
        spikes = forward(neuron, current, coefficients, states)
        ctx.save_for_backward(current, states, *coefficients)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        from lit_delays.snn.fast.two_state_triton import backward

        current, states, *coefficients = ctx.saved_tensors
        grad_current, grads = backward(ctx.neuron, grad, current, coefficients, states)
        return grad_current, None, None, *grads
