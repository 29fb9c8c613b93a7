r"""Steps of neurons with their derivatives by hand, for loops over time that autograd does not see.

Steps go forward once and then back. Between the two they keep their states, and no more: spikes follow from
the potential. Steps are read and written one by one, into memory that is there, so that a step stays in the
processor's cache. The equations are those of :mod:`.lif_scan` and :mod:`.two_state_scan`.

Shape letters: S states, T steps, B samples, N neurons.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.memory_pool import recycled, recycled_like
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.neurons import LIF, PLIF, Neuron, SoftResetLIF
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.neurons.two_states import Coefficients, TwoStateNeuron
from lit_delays.snn.surrogates import derivative, is_above


class NeuronSteps(ABC):
    """One population over one sequence.

    Args:
        states: What :meth:`states_for` gave: to be filled on the way there, then read.
        learned: What :meth:`learned_by` gave, detached.
    """

    num_states: ClassVar[int] = 1

    def __init__(self, neuron: Neuron, states: Tensor, learned: Sequence[Tensor]) -> None:
        self.neuron, self.states, self.learned = neuron, states, learned
        self.potential = states[0]
        self.zeros = torch.zeros_like(self.potential[0])

    @classmethod
    def states_for(cls, current: Tensor) -> Tensor:
        """Room for the states of every step, ``(S, T, B, N)``, the potential before reset first."""
        return recycled((cls.num_states, *current.shape), current.dtype, current.device)

    @staticmethod
    @abstractmethod
    def learned_by(neuron: Neuron) -> tuple[Tensor, ...]:
        """What gradients are asked for, besides the current's."""

    @abstractmethod
    def start(self) -> None:
        """Begin at rest."""

    @abstractmethod
    def forward(self, t: int, current: Tensor, out: Tensor) -> None:
        """Spikes ``(B, N)`` of step t, written into ``out``."""

    @abstractmethod
    def turn(self) -> None:
        """Begin the way back."""

    @abstractmethod
    def backward(self, t: int, grad: Tensor, current: Tensor | None, out: Tensor) -> None:
        """Gradient ``(B, N)`` of the current of step t from that of its spikes, written into ``out``.

        The current itself is None where nothing is learned.
        """

    @abstractmethod
    def grads(self) -> list[Tensor]:
        """Gradients of what is learned, when all steps are done."""


def steps_of(neuron: Neuron) -> type[NeuronSteps] | None:
    """The steps of exactly this neuron; None where a subclass has a step or a start of its own."""
    if type(neuron) in (LIF, PLIF, SoftResetLIF):
        return LIFSteps
    own = type(neuron).step, type(neuron).initial_state
    is_known = isinstance(neuron, TwoStateNeuron) and own == (
        TwoStateNeuron.step,
        TwoStateNeuron.initial_state,
    )
    return TwoStateSteps if is_known else None


@run_neuron.register("steps", can=lambda neuron, current: steps_of(neuron) is LIFSteps)
@uncompiled
def neuron_scan(neuron: Neuron, current: Tensor) -> Tensor:
    """Spikes of neurons for which no faster loop is registered before."""
    steps = steps_of(neuron)
    assert steps is not None
    return Scan.apply(current, steps, neuron, *steps.learned_by(neuron))  # type: ignore


class Scan(torch.autograd.Function):
    """Any neuron's steps over time; arguments: current, steps, neuron, what is learned."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, current: Tensor, steps: type[NeuronSteps], neuron: Neuron, *learned: Tensor
    ) -> Tensor:
        spikes, states = recycled_like(current), steps.states_for(current)
        neurons = steps(neuron, states, learned)
        neurons.start()
        for t, (x, s) in enumerate(zip(current, spikes, strict=True)):
            neurons.forward(t, x, out=s)
        ctx.save_for_backward(current, states, *learned)
        ctx.steps, ctx.neuron = steps, neuron
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        current, states, *learned = ctx.saved_tensors
        neurons, result = ctx.steps(ctx.neuron, states, learned), recycled_like(grad)
        neurons.turn()
        for t in range(len(grad) - 1, -1, -1):
            neurons.backward(t, grad[t], current[t], out=result[t])
        return result, None, None, *neurons.grads()


class LIFSteps(NeuronSteps):
    """Of leaky integrate-and-fire neurons, with hard or soft reset, whose gradient flows or does not."""

    neuron: LIF

    @staticmethod
    def learned_by(neuron: Neuron) -> tuple[Tensor, ...]:  # noqa: D102
        assert isinstance(neuron, LIF)
        leak = neuron.leak
        return (leak if isinstance(leak, Tensor) else torch.tensor(leak, dtype=torch.float64),)

    def start(self) -> None:  # noqa: D102
        self.keep, self.rest = 1 - float(self.learned[0]), self.zeros

    def forward(self, t: int, current: Tensor, out: Tensor) -> None:  # noqa: D102
        h = torch.add(current, self.rest, alpha=self.keep, out=self.potential[t])
        self.rest = self._after(h, torch.ge(h, self.neuron.v_threshold, out=out))

    def _after(self, h: Tensor, spikes: Tensor) -> Tensor:
        return self.neuron.reset(h, spikes)

    def turn(self) -> None:  # noqa: D102
        self.keep, self.later, self.leak = 1 - float(self.learned[0]), self.zeros, self.zeros.clone()

    def backward(self, t: int, grad: Tensor, current: Tensor | None, out: Tensor) -> None:  # noqa: D102
        h, neuron, later = self.potential[t], self.neuron, self.keep * self.later
        excess = h - neuron.v_threshold
        spikes, is_soft = is_above(excess, strict=False), isinstance(neuron, SoftResetLIF)
        if current is not None:
            self.leak.addcmul_(self.later, self._after(h, spikes), value=-1)
        if not neuron.detach_reset:  # what a spike takes away
            grad = grad - later * (neuron.v_threshold if is_soft else h)
        through = later if is_soft else torch.addcmul(later, later, spikes, value=-1)
        self.later = torch.addcmul(through, derivative(neuron.surrogate, excess), grad, out=out)

    def grads(self) -> list[Tensor]:  # noqa: D102
        return [self.leak.sum()]


class TwoStateSteps(NeuronSteps):
    """Of all neurons with a slow second state."""

    neuron: TwoStateNeuron
    num_states: ClassVar[int] = 2

    @staticmethod
    def learned_by(neuron: Neuron) -> tuple[Tensor, ...]:  # noqa: D102
        assert isinstance(neuron, TwoStateNeuron)
        return tuple(neuron.coefficients())

    def start(self) -> None:  # noqa: D102
        self.c, self.slows = Coefficients(*self.learned), self.states[1]
        self.slow = self.spikes = self.zeros
        self.rest = self.zeros.clone()

    def forward(self, t: int, current: Tensor, out: Tensor) -> None:  # noqa: D102
        c, u = self.c, torch.mul(current, self.c.ui, out=self.potential[t])
        u.addcmul_(self.rest, c.uu).addcmul_(self.slow, c.uw).addcmul_(self.spikes, c.uz)
        slow = torch.mul(self.slow, c.ww, out=self.slows[t])
        slow.addcmul_(self.rest, c.wu).addcmul_(self.spikes, c.wz)
        self.slow, self.spikes = slow, self._fire(u, out)
        self.rest = self._after(u, out)

    def _fire(self, u: Tensor, out: Tensor) -> Tensor:
        neuron = self.neuron
        compare = torch.gt if neuron.strict else torch.ge
        return compare(u if neuron.gain == 1 else neuron.gain * u, neuron.v_threshold, out=out)

    def _after(self, u: Tensor, spikes: Tensor) -> Tensor:
        """What is left of a potential after the spikes of its step."""
        return torch.addcmul(u, u, spikes, value=-1, out=self.rest) if self.neuron.resets else u

    def turn(self) -> None:  # noqa: D102
        self.start()
        self.later_u, self.later_w = self.zeros.clone(), self.zeros.clone()
        self.spikes, self.to_spike = self.zeros.clone(), self.zeros.clone()
        self.sums = Coefficients(*(self.zeros.clone() for _ in self.c))

    def backward(self, t: int, grad: Tensor, current: Tensor | None, out: Tensor) -> None:  # noqa: D102
        c, u, later_u, later_w = self.c, self.potential[t], self.later_u, self.later_w
        spikes = self._fire(u, self.spikes)
        if current is not None:
            self._add(self._after(u, spikes), self.slows[t], spikes)
        to_spike = torch.addcmul(grad, later_u, c.uz, out=self.to_spike).addcmul_(later_w, c.wz)
        to_rest = torch.mul(later_u, c.uu, out=out).addcmul_(later_w, c.wu)
        later_w.mul_(c.ww).addcmul_(later_u, c.uw)
        if self.neuron.resets:
            to_rest.addcmul_(to_rest, spikes, value=-1)
        torch.addcmul(to_rest, self._slope(u), to_spike, value=self.neuron.gain, out=later_u)
        if current is not None:
            self.sums.ui.addcmul_(later_u, current)
        torch.mul(later_u, c.ui, out=out)

    def _slope(self, u: Tensor) -> Tensor:
        scaled = u if self.neuron.gain == 1 else self.neuron.gain * u
        return derivative(self.neuron.surrogate, scaled - self.neuron.v_threshold)

    def _add(self, rest: Tensor, slow: Tensor, spikes: Tensor) -> None:
        """Each coefficient weighed something of this step in the next one."""
        sums = self.sums
        for total, given in ((sums.uu, rest), (sums.uw, slow), (sums.uz, spikes)):
            total.addcmul_(self.later_u, given)
        for total, given in ((sums.wu, rest), (sums.ww, slow), (sums.wz, spikes)):
            total.addcmul_(self.later_w, given)

    def grads(self) -> list[Tensor]:  # noqa: D102
        return [total.sum(dim=0) for total in self.sums]
