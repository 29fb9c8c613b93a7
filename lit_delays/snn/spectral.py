r"""The fast sum of delayed inputs: a product of spectra instead of a sum over lags.

On a circle of n steps, long enough that nothing wraps around, a convolution is one product per frequency.
Written in real numbers it is a bilinear algorithm,

.. math:: y = A \,\bigl( (D\,x) \odot (G\,\kappa) \bigr),

with constant matrices and about 1.5 n products per synapse, where the direct sum needs T K. A complex product
takes three real ones: with :math:`p_0 = -d\,(a + b),\; p_1 = (c + d)\,a,\; p_2 = (d - c)\,b` the product
:math:`(a + ib)(c + id)` has the real part :math:`p_0 + p_1` and the imaginary part :math:`-(p_0 + p_2)`.
So D has the rows :math:`a + b, a, b` of every frequency, and the transpose of A has the same three.

Waves are symmetric (:func:`_fold`). Even frequencies repeat after half a circle, odd ones repeat with the
other sign: the two groups see the sum and the difference of the two halves. Mirrored on its half circle, a
wave is itself or its own negative: even cosines and odd sines see the sum of a half and its mirror image,
even sines and odd cosines the difference. Every matrix spans a quarter of the circle.
All gradients are the same sum with transposed matrices.

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags, f frequencies of a
group, q steps of a quarter.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_delays.snn.scratch import scratch

HEAD = 4  # first steps that are summed directly
ROWS = 32  # of the kernel's spectrum in memory at once
SAMPLES = 256  # in memory at once as spectra; for fewer the kernel's spectrum would be made too often
FOLDED = 64  # samples folded at once: few enough for the processor's cache


class Matrices(NamedTuple):
    """The constants of one size, cut to what is used: D and A by group and symmetry, and G."""

    inputs: Tensor  # (2, 2, f, q)
    kernel: Tensor  # (6 f, K)
    outputs: Tensor  # (2, 2, q, f)
    half: int  # h, steps of half the circle


def circle(num_inputs: int, num_lags: int) -> int:
    """Steps of the shortest even circle on which ``num_inputs`` steps and as many lags do not wrap around."""
    return (num_inputs + num_lags) // 2 * 2


@lru_cache(maxsize=64)
def matrices(
    num_inputs: int, num_lags: int, num_steps: int, dtype: torch.dtype, device: torch.device
) -> Matrices:
    """Make the constants for T inputs, K lags and T' outputs; in float64, then rounded once."""
    n = circle(num_inputs, num_lags)
    half, quarter = n // 2, n // 4 + 1
    frequency = torch.arange(2 * quarter).view(quarter, 2).T  # even ones, odd ones
    share = torch.where(frequency % half == 0, 1.0, 2.0).double()[..., None] / n  # most have a conjugate twin

    cos, sin = _waves(n, frequency, min(num_inputs, half, quarter))
    inputs = _by_symmetry(cos, -sin)
    cos, sin = _waves(n, frequency, min(num_steps, half, quarter))
    outputs = _by_symmetry(share * cos, share * sin).mT
    cos, sin = _waves(n, frequency, num_lags)
    kernel = torch.cat([sin[:, None], _by_symmetry(cos - sin, -cos - sin)], dim=1)
    made = inputs, kernel.transpose(1, 2).flatten(0, 2), outputs
    inputs, kernel, outputs = (matrix.to(device, dtype).contiguous() for matrix in made)
    return Matrices(inputs, kernel, outputs, half)


def _waves(n: int, frequency: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(2, f, steps)``; zeros for a frequency that the circle has not."""
    phase = frequency[..., None] * torch.arange(steps) % n
    angle, exists = 2 * torch.pi * phase.double() / n, (frequency <= n // 2)[..., None]
    return angle.cos() * exists, angle.sin() * exists


def _by_symmetry(cos: Tensor, sin: Tensor) -> Tensor:
    """Of each group first the waves that are their own mirror image, then those that are its negative."""
    return torch.stack([torch.stack([cos[0], sin[0]]), torch.stack([sin[1], cos[1]])])


def spectral_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs of every neuron; arguments and result as in ``direct_sum``.

    Under autocast the transforms stay in float32 (half precision would lose small taps beside large ones);
    only the products of spectra are reduced.

    Example:
        >>> x = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
        >>> kernel = torch.tensor([0.0, 0.5]).view(2, 1, 1)
        >>> spectral_sum(x, kernel, num_steps=3).flatten().round(decimals=5).abs()
        tensor([0.0000, 0.5000, 0.0000])
    """
    device = x.device.type
    reduced = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    with torch.autocast(device, enabled=False):
        dtype = torch.float32 if reduced else torch.promote_types(x.dtype, kernel.dtype)
        lags = kernel[:num_steps]  # later ones are never heard
        apply: Callable[..., Tensor] = _SpectralSum.apply
        return apply(x.to(dtype), lags.to(dtype), num_steps, reduced or dtype)


class _SpectralSum(torch.autograd.Function):
    """Goes through the batch and the frequencies in pieces; what lives no longer lies in scratch memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, num_steps: int, dtype: torch.dtype) -> Tensor:
        x = x.contiguous()
        made = matrices(len(x), len(kernel), num_steps, x.dtype, x.device)
        y = x.new_empty(num_steps, x.shape[1], kernel.shape[1])
        for some in _pieces(x.shape[1], SAMPLES):
            spectrum = _to_spectrum(made.inputs, made.half, x[:, some], "inputs", dtype)
            products = _scratch("outputs", spectrum, *spectrum.shape[:2], kernel.shape[1])
            for rows in _rows(made):
                taps = _kernel_spectrum(made.kernel[rows], kernel, dtype)
                torch.bmm(spectrum[rows], taps.mT, out=products[rows])
            _from_spectrum(made.outputs, made.half, products, out=y[:, some])
        ctx.save_for_backward(*_compact(x), kernel)
        ctx.made, ctx.dtype = made, dtype
        return _exact_head(y, x, kernel)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        made: Matrices = ctx.made
        x, size, kernel = ctx.saved_tensors
        grad = grad.contiguous()
        grad_x = kernel.new_empty(x.shape) if ctx.needs_input_grad[0] else None
        grad_kernel = torch.zeros_like(kernel).flatten(1)
        for some in _pieces(x.shape[1], SAMPLES):
            # made again, not kept: it is half as large again as x
            spectrum = _to_spectrum(made.inputs, made.half, x[:, some], "inputs", ctx.dtype)
            above = _to_spectrum(made.outputs.mT, made.half, grad[:, some], "outputs", ctx.dtype)
            for rows in _rows(made):
                taps = _scratch("taps", above, len(above[rows]), *kernel.shape[1:])
                torch.bmm(above[rows].mT, spectrum[rows], out=taps)
                grad_kernel.addmm_(made.kernel[rows].T, taps.to(kernel.dtype).flatten(1))
                if grad_x is not None:  # takes the place of the rows that are done
                    taps = _kernel_spectrum(made.kernel[rows], kernel, ctx.dtype)
                    torch.bmm(above[rows], taps, out=spectrum[rows])
            if grad_x is not None:
                _from_spectrum(made.inputs.mT, made.half, spectrum, out=grad_x[:, some])
        return grad_x, grad_kernel.mul_(size).view_as(kernel), None, None


def _compact(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes of one size as bytes, and their size: a quarter of the memory. All else as it is, and one."""
    size = x.amax()
    if x.device.type == "cpu" and size > 0:  # looking at it would make a GPU wait
        spikes = x == size
        if spikes.count_nonzero() == x.count_nonzero():
            return spikes, size
    return x, torch.ones_like(size)


def _pieces(batch: int, most: int) -> list[slice]:
    """Equal shares of the batch, of at most so many samples."""
    size = -(-batch // -(-batch // most))
    return [slice(first, first + size) for first in range(0, batch, size)]


def _rows(made: Matrices) -> list[slice]:
    """Rows whose kernel spectrum is in memory at the same time."""
    return [slice(first, first + ROWS) for first in range(0, len(made.kernel), ROWS)]


def _scratch(name: str, like: Tensor, *shape: int) -> Tensor:
    return scratch(name, shape, like.dtype, like.device)


def _kernel_spectrum(matrix: Tensor, kernel: Tensor, dtype: torch.dtype) -> Tensor:
    rows = _scratch("kernel", kernel, len(matrix), *kernel.shape[1:])
    torch.mm(matrix, kernel.flatten(1), out=rows.flatten(1))
    return rows.to(dtype)


def _to_spectrum(matrix: Tensor, half: int, x: Tensor, place: str, dtype: torch.dtype) -> Tensor:
    """Transform ``(T, B, N)`` to the rows of both groups, ``(6 f, B, N)``."""
    spectrum = _scratch(place, matrix, 2, matrix.shape[2], 3, *x.shape[1:])
    for some in _pieces(x.shape[1], FOLDED):
        parts = _fold(x[:, some].to(matrix.dtype), half)
        for waves, part, rows in zip(matrix, parts, spectrum[..., some, :], strict=True):
            for i in (0, 1):
                torch.mm(waves[i], part[i].flatten(1), out=rows[:, i + 1].flatten(1))
            torch.add(rows[:, 1], rows[:, 2], out=rows[:, 0])
    return spectrum.flatten(0, 2).to(dtype)


def _from_spectrum(matrix: Tensor, half: int, spectrum: Tensor, out: Tensor) -> None:
    """Transform ``(6 f, B, N)`` to the steps of ``out``, ``(T, B, N)``; the spectrum is lost."""
    spectrum = spectrum.to(matrix.dtype).view(2, matrix.shape[3], 3, *spectrum.shape[1:])
    for some in _pieces(out.shape[1], FOLDED):
        parts = _scratch("parts", spectrum, 2, 2, matrix.shape[2], *out[0, some].shape)
        for waves, part, rows in zip(matrix, parts, spectrum[..., some, :], strict=True):
            rows[:, 1:] += rows[:, :1]
            for i in (0, 1):
                torch.mm(waves[i], rows[:, i + 1].flatten(1), out=part[i].flatten(1))
        _unfold(parts, half, out[:, some])


def _exact_head(y: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Sum the first steps directly: spectra round to parts of the largest output, not of each.

    There a sample has hardly begun and outputs are zero or the far tail of a tap, 1e-23. A maximum over time
    sees which is larger.
    """
    for t in range(min(HEAD, len(x), len(y))):
        lags = min(t + 1, len(kernel))
        y[t] = torch.einsum("kbi,koi->bo", x[t + 1 - lags : t + 1].flip(0), kernel[:lags])
    return y


def _fold(x: Tensor, half: int) -> Tensor:
    """What each group and symmetry sees, ``(2, 2, q, B, N)``: sums and differences of halves and mirrors."""
    steps = min(len(x), half)
    quarter, past = min(steps, half // 2 + 1), len(x) - steps
    halves = _scratch("halves", x, 2, steps, *x.shape[1:])
    torch.add(x[:past], x[steps:], out=halves[0, :past])
    torch.sub(x[:past], x[steps:], out=halves[1, :past])
    halves[:, past:] = x[past:steps]
    parts = _scratch("parts", x, 2, 2, quarter, *x.shape[1:])
    paired = slice(half - steps + 1, half - quarter + 1)  # t with a mirror image half - t
    mirrored = halves[:, quarter:].flip(1)
    parts[:] = halves[:, None, :quarter]
    if steps > quarter:
        parts[:, 0, paired] += mirrored
        parts[:, 1, paired] -= mirrored
    return parts


def _unfold(parts: Tensor, half: int, out: Tensor) -> None:
    """The transpose of :func:`_fold`, and up to the matrices' factors its inverse."""
    steps = min(len(out), half)
    quarter, past = parts.shape[2], len(out) - steps
    halves = _scratch("halves", parts, 2, steps, *out.shape[1:])
    torch.add(parts[:, 0], parts[:, 1], out=halves[:, :quarter])
    if steps > quarter:
        paired = slice(half - steps + 1, half - quarter + 1)
        halves[:, quarter:] = (parts[:, 0, paired] - parts[:, 1, paired]).flip(1)
    torch.add(halves[0], halves[1], out=out[:steps])
    torch.sub(halves[0, :past], halves[1, :past], out=out[steps:])
