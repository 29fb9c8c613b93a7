r"""Neurons whose output comes back to them, on a GPU: one kernel for all steps, one more for the way back.

Samples know nothing of each other, so a program takes a few of them and all neurons, and walks through time:
it delays the spikes of every neuron, multiplies with the weights, and lets the neurons take their step. On
the way back it is the same in reverse, with what :mod:`.recurrent_scan` calls :math:`\bar x`. All neurons are
the two-state ones of :mod:`.two_state_scan`; those with a potential alone have the coefficients
:math:`c_{uu} = 1 - 1/\tau` and :math:`c_{uI} = 1`, and their own reset.

Sums over neurons have another order than those of the plain loop, and products and sums are fused, so a
potential may differ in its last bits.
Shape letters: T steps, B samples, N neurons, K lags.
"""

from typing import NamedTuple

import torch
import triton  # type: ignore[import-untyped,import-not-found,unused-ignore]
import triton.language as tl  # type: ignore[import-untyped,import-not-found,unused-ignore]
from torch import Tensor

from lit_delays.snn.fast.two_state_triton import _fires
from lit_delays.snn.neurons import LIF, Neuron, SoftResetLIF
from lit_delays.snn.neurons.two_states import Coefficients, TwoStateNeuron
from lit_delays.snn.surrogates import Surrogate, derivative, is_above

SAMPLES = 16  # of one program: the fewest that a product of the card takes
NEURONS = 64  # delayed, or multiplied, at once
NONE, HARD, SOFT = (tl.constexpr(reset) for reset in range(3))


class Equation(NamedTuple):
    """A neuron as the kernels take it.

    Attributes:
        coefficients: Shape ``(7, N)``, in the order of ``Coefficients``.
        gain: Of the potential, before the threshold is taken off.
        v_threshold: The threshold.
        surrogate: Stand-in for the derivative of a spike.
        strict: Whether a spike needs more than the threshold, or just as much.
        reset: ``NONE``, ``HARD`` or ``SOFT``.
        detaches: Whether no gradient flows through the reset.
    """

    coefficients: Tensor
    gain: float
    v_threshold: float
    surrogate: Surrogate
    strict: bool
    reset: int
    detaches: bool

    @classmethod
    def of(cls, neuron: Neuron, learned: tuple[Tensor, ...], current: Tensor) -> "Equation":
        """Of a neuron and what ``NeuronSteps.learned_by`` gave of it."""
        if isinstance(neuron, TwoStateNeuron):
            reset, stacked = HARD if neuron.resets else NONE, torch.stack(learned).to(current)
            threshold = neuron.gain, neuron.v_threshold
            return cls(stacked, *threshold, neuron.surrogate, neuron.strict, reset.value, detaches=True)
        assert isinstance(neuron, LIF)
        values = current.new_zeros(7, current.shape[-1])
        values[0], values[3] = 1 - float(learned[0]), 1
        reset = SOFT if isinstance(neuron, SoftResetLIF) else HARD
        threshold = 1.0, neuron.v_threshold
        return cls(values, *threshold, neuron.surrogate, False, reset.value, neuron.detach_reset)

    def after(self, potential: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes, and what is left of the potential."""
        spikes = is_above(self.gain * potential - self.v_threshold, strict=self.strict).to(potential.dtype)
        taken: Tensor | float = (0.0, potential, self.v_threshold)[self.reset]  # NONE, HARD, SOFT
        return spikes, potential - spikes * taken


def forward(
    equation: Equation, current: Tensor, mask: Tensor, taps: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Spikes, potentials before reset, slow states, and currents with what came back: all ``(T, B, N)``.

    Args:
        equation: Of the neurons.
        current: From outside, ``(T, B, N)``.
        mask: Factors of what comes back, ``(B, N)``.
        taps: Of the delays of every neuron, ``(K, N)``.
        weight: Of what comes back, ``(N, N)``, target first.
    """
    spikes, potential, slow, total = (torch.empty_like(current) for _ in range(4))
    weight_t, late = weight.T.contiguous(), torch.empty_like(mask)
    _forward[_grid(current)](
        current, spikes, potential, slow, total, late, mask, taps, weight_t, equation.coefficients,
        equation.gain, equation.v_threshold, *current.shape, len(taps), equation.strict, equation.reset,
        SAMPLES, NEURONS,
        enable_fp_fusion=True,
    )  # fmt: skip
    return spikes, potential, slow, total


def backward(
    equation: Equation, grad: Tensor, potential: Tensor, mask: Tensor, taps: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of both states, ``(2, T, B, N)``, and of the delayed spikes, ``(T, B, N)``."""
    excess = equation.gain * potential - equation.v_threshold
    slope = derivative(equation.surrogate, excess) * equation.gain
    grad, weight, sent = grad.contiguous(), weight.contiguous(), torch.empty_like(mask)
    bars, back = grad.new_empty(2, *grad.shape), torch.empty_like(grad)
    _backward[_grid(grad)](
        grad, potential, slope, *bars, back, sent, mask, taps, weight, equation.coefficients, equation.gain,
        equation.v_threshold, *grad.shape, len(taps), equation.strict, equation.reset, equation.detaches,
        SAMPLES, NEURONS, enable_fp_fusion=True,
    )  # fmt: skip
    return bars, back


def learned_grads(
    equation: Equation,
    neuron: Neuron,
    bars: Tensor,
    potential: Tensor,
    slow: Tensor | None,
    total: Tensor | None,
) -> list[Tensor | None]:
    """Gradients of what a neuron learns: each coefficient weighed something of a step in the next one."""
    if total is None:  # nothing is learned
        return [None] * (len(Coefficients._fields) if isinstance(neuron, TwoStateNeuron) else 1)
    spikes, rest = (of_all[:-1] for of_all in equation.after(potential))
    later_u, later_w = bars[0, 1:], bars[1, 1:]
    if not isinstance(neuron, TwoStateNeuron) or slow is None:
        return [-(later_u * rest).sum()]
    slow = slow[:-1]
    pairs = Coefficients(
        uu=later_u * rest, uw=later_u * slow, uz=later_u * spikes, ui=bars[0] * total,
        wu=later_w * rest, ww=later_w * slow, wz=later_w * spikes,
    )  # fmt: skip
    return [pair.sum(dim=(0, 1)) for pair in pairs]


def _grid(x: Tensor) -> tuple[int]:
    return (triton.cdiv(x.shape[1], SAMPLES),)


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _places(rows, n, num_samples, num_neurons):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Where samples and neurons lie in a step, and which of them there are."""
    inside = (rows < num_samples)[:, None] & (n < num_neurons)[None, :]
    return rows[:, None] * num_neurons + n[None, :], inside


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _rest(u, fired, v_threshold, RESET: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if RESET == NONE:
        left = u
    elif RESET == HARD:
        left = tl.where(fired, 0.0, u)
    else:
        left = tl.where(fired, u - v_threshold, u)
    return left


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _delayed(x, taps, first, step, num_lags, at, inside, n, num_neurons):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum over lags of values that lie ``step`` apart, from ``first`` on."""
    total = tl.zeros(at.shape, tl.float32)
    for k in range(num_lags):
        tap = tl.load(taps + k * num_neurons + n, mask=n < num_neurons, other=0.0)
        total += tap[None, :] * tl.load(x + first + k * step + at, mask=inside, other=0.0)
    return total


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _product(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x, matrix, rows, to, num_samples, num_neurons, SAMPLES: tl.constexpr, NEURONS: tl.constexpr,  # noqa: ANN001
):  # fmt: skip
    """Of values ``(B, N)`` and the columns ``to`` of a matrix ``(N, N)``, all in float32."""
    total = tl.zeros((SAMPLES, NEURONS), tl.float32)
    for start in range(0, num_neurons, NEURONS):
        n = start + tl.arange(0, NEURONS)
        at, inside = _places(rows, n, num_samples, num_neurons)
        values = tl.load(x + at, mask=inside, other=0.0)
        pairs = (n < num_neurons)[:, None] & (to < num_neurons)[None, :]
        some = tl.load(matrix + n[:, None] * num_neurons + to[None, :], mask=pairs, other=0.0)
        total = tl.dot(values, some, total, input_precision="ieee")
    return total


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _coefficient(c, index, n, num_neurons):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return tl.load(c + index * num_neurons + n, mask=n < num_neurons, other=0.0)[None, :]


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _pair(x, y, c, of_x, of_y, n, num_neurons):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return x * _coefficient(c, of_x, n, num_neurons) + y * _coefficient(c, of_y, n, num_neurons)


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _forward(  # type: ignore[no-untyped-def]  # noqa: ANN202
    current, spikes, potential, slow, total, late, mask, taps, weight_t, c, gain, v_threshold,  # noqa: ANN001
    num_steps, num_samples, num_neurons, num_lags, STRICT: tl.constexpr, RESET: tl.constexpr,  # noqa: ANN001
    SAMPLES: tl.constexpr, NEURONS: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    size = num_samples * num_neurons
    now = tl.zeros((), tl.int64)
    for t in range(num_steps):
        for start in range(0, num_neurons, NEURONS):
            n = start + tl.arange(0, NEURONS)
            at, inside = _places(rows, n, num_samples, num_neurons)
            lags = tl.minimum(t, num_lags)
            value = _delayed(spikes, taps, now - size, -size, lags, at, inside, n, num_neurons)
            tl.store(late + at, value, mask=inside)
        tl.debug_barrier()  # products read what other threads of this program wrote
        for start in range(0, num_neurons, NEURONS):
            n = start + tl.arange(0, NEURONS)
            at, inside = _places(rows, n, num_samples, num_neurons)
            due = _product(late, weight_t, rows, n, num_samples, num_neurons, SAMPLES, NEURONS)
            x = tl.load(current + now + at, mask=inside, other=0.0)
            x += due * tl.load(mask + at, mask=inside, other=0.0)
            seen = inside & (t > 0)
            u = tl.load(potential + now - size + at, mask=seen, other=0.0)
            w = tl.load(slow + now - size + at, mask=seen, other=0.0)
            fired = _fires(u, gain, v_threshold, STRICT) & seen
            z, rest = fired.to(tl.float32), _rest(u, fired, v_threshold, RESET)
            u = _pair(rest, w, c, 0, 1, n, num_neurons) + _pair(z, x, c, 2, 3, n, num_neurons)
            w = _pair(rest, w, c, 4, 5, n, num_neurons) + z * _coefficient(c, 6, n, num_neurons)
            tl.store(total + now + at, x, mask=inside)
            tl.store(potential + now + at, u, mask=inside)
            tl.store(slow + now + at, w, mask=inside)
            tl.store(spikes + now + at, _fires(u, gain, v_threshold, STRICT).to(tl.float32), mask=inside)
        tl.debug_barrier()
        now += size


@triton.jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _backward(  # type: ignore[no-untyped-def]  # noqa: ANN202
    grad, potential, slope, bar_u, bar_w, back, sent, mask, taps, weight, c, gain, v_threshold,  # noqa: ANN001
    num_steps, num_samples, num_neurons, num_lags, STRICT: tl.constexpr, RESET: tl.constexpr,  # noqa: ANN001
    DETACH: tl.constexpr, SAMPLES: tl.constexpr, NEURONS: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)
    size = num_samples * num_neurons
    now = tl.zeros((), tl.int64) + size * (num_steps - 1)
    for done in range(num_steps):
        for start in range(0, num_neurons, NEURONS):
            n = start + tl.arange(0, NEURONS)
            at, inside = _places(rows, n, num_samples, num_neurons)
            to_spike = tl.load(grad + now + at, mask=inside, other=0.0)
            lags = tl.minimum(done, num_lags)
            to_spike += _delayed(back, taps, now + size, size, lags, at, inside, n, num_neurons)
            u = tl.load(potential + now + at, mask=inside, other=0.0)
            fired = _fires(u, gain, v_threshold, STRICT)
            seen = inside & (done > 0)
            later_u = tl.load(bar_u + now + size + at, mask=seen, other=0.0)
            later_w = tl.load(bar_w + now + size + at, mask=seen, other=0.0)
            to_spike += _pair(later_u, later_w, c, 2, 6, n, num_neurons)
            to_rest = _pair(later_u, later_w, c, 0, 4, n, num_neurons)
            later_w = _pair(later_u, later_w, c, 1, 5, n, num_neurons)
            if not DETACH:  # what a spike takes away
                to_spike -= to_rest * (u if RESET == HARD else v_threshold)
            through = tl.where(fired, 0.0, to_rest) if RESET == HARD else to_rest
            later_u = tl.load(slope + now + at, mask=inside, other=0.0) * to_spike + through
            tl.store(bar_u + now + at, later_u, mask=inside)
            tl.store(bar_w + now + at, later_w, mask=inside)
            later_u *= _coefficient(c, 3, n, num_neurons) * tl.load(mask + at, mask=inside, other=0.0)
            tl.store(sent + at, later_u, mask=inside)
        tl.debug_barrier()
        for start in range(0, num_neurons, NEURONS):
            n = start + tl.arange(0, NEURONS)
            at, inside = _places(rows, n, num_samples, num_neurons)
            value = _product(sent, weight, rows, n, num_samples, num_neurons, SAMPLES, NEURONS)
            tl.store(back + now + at, value, mask=inside)
        tl.debug_barrier()
        now -= size
