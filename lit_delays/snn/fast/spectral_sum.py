r"""The fast sum of delayed inputs: a product of spectra instead of a sum over lags.

On a circle of n steps, long enough that nothing wraps around, a convolution is one product per frequency.
Written in real numbers it is a bilinear algorithm,

.. math:: y = A \,\bigl( (D\,x) \odot (G\,\kappa) \bigr),

with constant matrices and about 1.5 n products per synapse, where the direct sum needs T K. A complex product
takes three real ones: with :math:`p_0 = -d\,(a + b),\; p_1 = (c + d)\,a,\; p_2 = (d - c)\,b` the product
:math:`(a + ib)(c + id)` has the real part :math:`p_0 + p_1` and the imaginary part :math:`-(p_0 + p_2)`.
So D has the rows :math:`a + b, a, b` of every frequency, the transpose of A the same three, and G the rows
:math:`-d, c + d, d - c`.

Cosines and sines are symmetric, so every matrix spans a quarter of a period: see :mod:`.real_dft`.
All gradients are the same sum with transposed matrices.

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags, f frequencies of a
group, q steps of a quarter.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast.memory_pool import recycled, recycled_like
from lit_delays.snn.fast.real_dft import Group, circle, fold, make_groups, unfold
from lit_delays.snn.fast.scratch import scratch_like
from lit_delays.snn.fast.uncompiled import uncompiled

COST_PER_NUMBER = 64  # multiply-adds in the time it takes to transform or move one number; measured on a CPU
HEAD = 4  # first steps that are summed directly
FREQUENCIES = 10  # of the kernel's spectrum in memory at once
SAMPLES = 256  # in memory at once as spectra; for fewer the kernel's spectrum would be made too often
FOLDED = 64  # samples folded at once: few enough for the processor's cache


def _can(x: Tensor, kernel: Tensor, num_steps: int) -> bool:
    return is_cheaper(tuple(x.shape), tuple(kernel.shape), num_steps)


def is_cheaper(inputs: tuple[int, ...], kernel: tuple[int, ...], num_steps: int) -> bool:
    """Whether it costs fewer multiply-adds than the plain convolution; that one is good at short windows.

    The plain sum takes K products per output step and synapse, the spectral one 1.5 per step of its circle;
    what goes in and comes out of the products is transformed or moved.

    Args:
        inputs: Shape ``(T, B, I)`` of the input.
        kernel: Shape ``(K, O, I)`` of the kernel.
        num_steps: Output steps ``T'``.

    Example:
        >>> is_cheaper((100, 256, 140), (25, 256, 140), num_steps=112)
        True
        >>> is_cheaper((100, 256, 140), (2, 256, 140), num_steps=100)
        False
    """
    (num_inputs, batch, fan_in), (num_lags, num_neurons, _) = inputs, kernel
    synapses, signals = fan_in * num_neurons, batch * (fan_in + num_neurons)
    direct = num_steps * (num_lags * synapses * batch + COST_PER_NUMBER * signals)
    products = 1.5 * circle(num_inputs, min(num_lags, num_steps))
    spectral = products * (synapses * batch + COST_PER_NUMBER * (signals + synapses))
    return spectral < direct


@delayed_sum.register("spectral", can=_can)
@uncompiled
def spectral_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs of every neuron; as :func:`~lit_delays.snn.delayed_sum.delayed_sum`.

    Under autocast the transforms stay in float32 (half precision would lose small taps beside large ones);
    only the products of spectra are reduced. Numbers of half precision are summed in float32 too.
    """
    device = x.device.type
    reduced = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    with torch.autocast(device, enabled=False):
        given = torch.promote_types(x.dtype, kernel.dtype)
        dtype = torch.float32 if reduced or given.itemsize < 4 else given
        apply: Callable[..., Tensor] = _SpectralSum.apply
        y = apply(x.to(dtype), kernel.to(dtype), num_steps, reduced or dtype)
        return y if reduced else y.to(given)


class _SpectralSum(torch.autograd.Function):
    """Goes through batch, groups and frequencies in pieces; what lives no longer lies in scratch memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, num_steps: int, dtype: torch.dtype) -> Tensor:
        x, used = x.contiguous(), kernel[:num_steps]  # longer lags come too late
        groups = make_groups(len(x), len(used), num_steps, x.dtype, x.device)
        y = recycled((num_steps, x.shape[1], kernel.shape[1]), x.dtype, x.device)
        for some, group in product(_pieces(x.shape[1], SAMPLES), groups):
            lags = fold(used, group, x.dtype, "lags")
            spectrum = _to_spectrum(group.inputs, group, x[:, some], "inputs", dtype)
            products = scratch_like("outputs", spectrum, *spectrum.shape[:3], kernel.shape[1])
            for rows in _pieces(len(spectrum), FREQUENCIES):
                taps = _taps(group, rows, lags, dtype)
                torch.bmm(spectrum[rows].flatten(0, 1), taps.mT, out=products[rows].flatten(0, 1))
            _from_spectrum(group.outputs, group, products, out=y[:, some])
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*_compact(x), kernel)
            ctx.groups, ctx.dtype = groups, dtype
        return _exact_head(y, x, used)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        x, size, kernel = ctx.saved_tensors
        grad, dtype = grad.contiguous(), ctx.dtype
        grad_x = recycled(tuple(x.shape), kernel.dtype, kernel.device) if ctx.needs_input_grad[0] else None
        grad_kernel, used = recycled_like(kernel), kernel[: len(grad)]
        grad_kernel[len(grad) :] = 0
        for some, group in product(_pieces(x.shape[1], SAMPLES), ctx.groups):
            lags = fold(used, group, kernel.dtype, "lags")
            grad_lags = scratch_like("grad_lags", lags, *lags.shape).zero_()
            # made again, not kept: that of both groups is half as large again as x
            spectrum = _to_spectrum(group.inputs, group, x[:, some], "inputs", dtype)
            above = _to_spectrum(group.outputs.mT, group, grad[:, some], "outputs", dtype)
            for rows in _pieces(len(spectrum), FREQUENCIES):
                inputs, outputs = spectrum[rows].flatten(0, 1), above[rows].flatten(0, 1)
                taps = scratch_like("taps", above, len(outputs), *kernel.shape[1:])
                _add_taps(group, rows, torch.bmm(outputs.mT, inputs, out=taps), grad_lags)
                if grad_x is not None:  # overwrites the rows that are done
                    torch.bmm(outputs, _taps(group, rows, lags, dtype), out=inputs)
            unfold(grad_lags, group, grad_kernel[: len(grad)], some.start > 0)
            if grad_x is not None:
                _from_spectrum(group.inputs.mT, group, spectrum, out=grad_x[:, some])
        return grad_x, grad_kernel.mul_(size), None, None


def _compact(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes of one size as bytes, and their size: a quarter of the memory. All else as it is, and one."""
    size = x.amax()
    if x.device.type == "cpu" and size > 0:  # looking at it would make a GPU wait
        spikes = recycled(x.shape, torch.bool, x.device)
        if all(torch.equal(torch.ne(x[t], 0, out=spikes[t]), x[t] == size) for t in range(len(x))):
            return spikes, size
    return x, torch.ones_like(size)


def _pieces(batch: int, most: int) -> list[slice]:
    """Equal shares of the batch, of at most so many samples."""
    size = -(-batch // max(1, -(-batch // most)))
    return [slice(first, first + size) for first in range(0, batch, size)]


def _taps(group: Group, rows: slice, lags: Tensor, dtype: torch.dtype) -> Tensor:
    """Spectrum ``(3 f, O, I)`` of a folded kernel at some frequencies."""
    matrix, shape = group.kernel[:, rows], lags.shape[2:]
    sums = scratch_like("sums", lags, *matrix.shape[:2], *shape)
    for i in (0, 1):
        torch.mm(matrix[i], lags[i].flatten(1), out=sums[i].flatten(1))
    taps = scratch_like("kernel", lags, matrix.shape[1], 3, *shape)
    c, d = sums.unbind()[:: group.sign]  # which of them is symmetric, and comes first, is the group's
    plus, minus = (1, 2)[:: group.sign]
    torch.neg(d, out=taps[:, 0])
    torch.add(c, d, out=taps[:, plus])
    torch.sub(d, c, out=taps[:, minus])
    return taps.flatten(0, 1).to(dtype)


def _add_taps(group: Group, rows: slice, taps: Tensor, grad_lags: Tensor) -> None:
    """Add the gradient of some frequencies to that of the folded kernel: the transpose of :func:`_taps`."""
    taps = taps.to(grad_lags.dtype).view(-1, 3, *taps.shape[1:])
    plus, minus = (1, 2)[:: group.sign]
    taps[:, 0] -= taps[:, 1]
    taps[:, 0] -= taps[:, 2]  # the negative of d's
    taps[:, plus] -= taps[:, minus]  # c's
    for i, (row, sign) in enumerate(((plus, 1), (0, -1))[:: group.sign]):
        grad_lags[i].flatten(1).addmm_(group.kernel[i, rows].T, taps[:, row].flatten(1), alpha=sign)


def _to_spectrum(matrix: Tensor, group: Group, x: Tensor, name: str, dtype: torch.dtype) -> Tensor:
    """Transform ``(T, B, N)`` to the rows of a group, ``(f, 3, B, N)``."""
    spectrum = scratch_like(name, matrix, matrix.shape[1], 3, *x.shape[1:])
    for some in _pieces(x.shape[1], FOLDED):
        rows = spectrum[:, :, some]
        for i, part in enumerate(fold(x[:, some], group, matrix.dtype, "parts")):
            torch.mm(matrix[i], part.flatten(1), out=rows[:, i + 1].flatten(1))
        torch.add(rows[:, 1], rows[:, 2], out=rows[:, 0])
    return spectrum.to(dtype)


def _from_spectrum(matrix: Tensor, group: Group, spectrum: Tensor, out: Tensor) -> None:
    """Transform ``(f, 3, B, N)`` to a group's part of ``out``, ``(T, B, N)``; the spectrum is lost.

    The even group comes first: it writes, and the odd one adds.
    """
    spectrum = spectrum.to(matrix.dtype)
    for some in _pieces(out.shape[1], FOLDED):
        rows = spectrum[:, :, some]
        rows[:, 1:] += rows[:, :1]
        parts = scratch_like("parts", spectrum, 2, matrix.shape[1], *out[0, some].shape)
        for i, part in enumerate(parts):
            torch.mm(matrix[i], rows[:, i + 1].flatten(1), out=part.flatten(1))
        unfold(parts, group, out[:, some])


def _exact_head(y: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Sum the first steps directly: spectra round to parts of the largest output, not of each.

    There a sample has hardly begun and outputs are zero or the far tail of a tap, 1e-23. A maximum over time
    sees which is larger.
    """
    for t in range(min(HEAD, len(x), len(y))):
        lags = min(t + 1, len(kernel))
        y[t] = torch.einsum("kbi,koi->bo", x[t + 1 - lags : t + 1].flip(0), kernel[:lags])
    return y
