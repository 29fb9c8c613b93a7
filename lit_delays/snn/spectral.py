r"""The fast sum of delayed inputs: a product of spectra instead of a sum over lags.

On a circle of n steps, long enough that nothing wraps around, a convolution is one product per frequency.
Written in real numbers it is a bilinear algorithm,

.. math:: y = A \,\bigl( (D\,x) \odot (G\,\kappa) \bigr),

with constant matrices and about 1.5 n products per synapse, where the direct sum needs T K. A complex product
:math:`(a + ib)(c + id)` takes three real ones: :math:`p_1 = ac,\; p_2 = bd,\; p_3 = (a + b)(c + d)` give
:math:`p_1 - p_2 + i\,(p_3 - p_1 - p_2)`. So D and G have the rows :math:`a, b, a + b` of every frequency, and
A turns :math:`p_1, p_2, p_3` back into time.

Even frequencies repeat after half a circle, odd ones repeat with the other sign. The two groups therefore see
the sum and the difference of the two halves (:func:`_fold`), and every matrix is half as wide.
All gradients are the same sum with transposed matrices.

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags, h half a circle,
r rows of a group, about 1.5 h.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lit_delays.snn.scratch import scratch

HEAD = 4  # first steps that are summed directly
ROWS = 32  # of the kernel's spectrum in memory at once
SAMPLES = 256  # in memory at once as spectra; for fewer the kernel's spectrum would be made too often
FOLDED = 64  # samples folded at once: few enough for the processor's cache


class Matrices(NamedTuple):
    """The constants of one size: D ``(2, r, h)``, G ``(2 r, K)`` and A ``(2, h, r)``, cut to what is used."""

    inputs: Tensor
    kernel: Tensor
    outputs: Tensor


def circle(num_inputs: int, num_lags: int) -> int:
    """Steps of the shortest even circle on which ``num_inputs`` steps and as many lags do not wrap around."""
    return (num_inputs + num_lags) // 2 * 2


@lru_cache(maxsize=64)
def matrices(
    num_inputs: int, num_lags: int, num_steps: int, dtype: torch.dtype, device: torch.device
) -> Matrices:
    """Make the constants for T inputs, K lags and T' outputs; in float64, then rounded once."""
    n = circle(num_inputs, num_lags)
    half = n // 2

    def pair(synthesis: bool, steps: int) -> Tensor:
        groups = [_waves(n, group, steps, synthesis) for group in (0, 1)]
        return pad_sequence(groups, batch_first=True)  # the smaller group gets a row of zeros

    inputs, outputs = pair(False, min(num_inputs, half)), pair(True, min(num_steps, half)).mT
    made = (inputs, pair(False, num_lags).flatten(0, 1), outputs)
    return Matrices(*(matrix.to(device, dtype).contiguous() for matrix in made))


def _waves(n: int, group: int, steps: int, synthesis: bool) -> Tensor:
    """Rows of the even (group 0) or odd (1) frequencies over time, one real and three complex ones' parts."""
    frequency = torch.arange(group, n // 2 + 1, 2)
    phase = torch.outer(frequency, torch.arange(steps)) % n
    angle = 2 * torch.pi * phase.double() / n
    cos, sin = angle.cos(), angle.sin()
    paired = frequency % (n // 2) != 0  # has a conjugate twin
    if not synthesis:
        return torch.cat([cos, -sin[paired], (cos - sin)[paired]])
    share = torch.where(paired, 2.0, 1.0).double()[:, None] / n
    return torch.cat([share * (cos + sin), (share * (sin - cos))[paired], -(share * sin)[paired]])


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
            spectrum = _to_spectrum(made.inputs, x[:, some], "inputs", dtype)
            products = _scratch("outputs", spectrum, *spectrum.shape[:2], kernel.shape[1])
            for rows in _rows(made):
                taps = _kernel_spectrum(made.kernel[rows], kernel, dtype)
                torch.bmm(spectrum[rows], taps.mT, out=products[rows])
            _from_spectrum(made.outputs, products, out=y[:, some])
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
            spectrum = _to_spectrum(made.inputs, x[:, some], "inputs", ctx.dtype)
            above = _to_spectrum(made.outputs.mT, grad[:, some], "outputs", ctx.dtype)
            for rows in _rows(made):
                taps = _scratch("taps", above, len(above[rows]), *kernel.shape[1:])
                torch.bmm(above[rows].mT, spectrum[rows], out=taps)
                grad_kernel.addmm_(made.kernel[rows].T, taps.to(kernel.dtype).flatten(1))
                if grad_x is not None:  # takes the place of the rows that are done
                    taps = _kernel_spectrum(made.kernel[rows], kernel, ctx.dtype)
                    torch.bmm(above[rows], taps, out=spectrum[rows])
            if grad_x is not None:
                _from_spectrum(made.inputs.mT, spectrum, out=grad_x[:, some])
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


def _to_spectrum(matrix: Tensor, x: Tensor, place: str, dtype: torch.dtype) -> Tensor:
    """Transform ``(T, B, N)`` to the rows of both groups, ``(2 r, B, N)``."""
    spectrum = _scratch(place, matrix, 2, matrix.shape[1], *x.shape[1:])
    for some in _pieces(x.shape[1], FOLDED):
        halves = _fold(x[:, some].to(matrix.dtype), matrix.shape[2])
        for group, half, rows in zip(matrix, halves, spectrum, strict=True):
            torch.mm(group, half.flatten(1), out=rows[:, some].flatten(1))
    return spectrum.flatten(0, 1).to(dtype)


def _from_spectrum(matrix: Tensor, spectrum: Tensor, out: Tensor) -> None:
    """Transform ``(2 r, B, N)`` to the steps of ``out``, ``(T, B, N)``."""
    spectrum = spectrum.to(matrix.dtype).view(2, matrix.shape[2], *spectrum.shape[1:])
    for some in _pieces(out.shape[1], FOLDED):
        halves = _scratch("halves", spectrum, 2, matrix.shape[1], *out[0, some].shape)
        for group, rows, half in zip(matrix, spectrum, halves, strict=True):
            torch.mm(group, rows[:, some].flatten(1), out=half.flatten(1))
        _unfold(halves, out[:, some])


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
    """Sum and difference of a circle's halves, ``(2, h, B, N)``: what even and odd frequencies see."""
    past = len(x) - half
    if past == 0:  # nothing lies on the second half: both see the first
        return x.expand(2, *x.shape)
    folded = _scratch("halves", x, 2, half, *x.shape[1:])
    torch.add(x[:past], x[half:], out=folded[0, :past])
    torch.sub(x[:past], x[half:], out=folded[1, :past])
    folded[:, past:] = x[past:half]
    return folded


def _unfold(halves: Tensor, out: Tensor) -> None:
    """Undo :func:`_fold`, up to a factor of two: also its transpose, which the gradients need."""
    (even, odd), half = halves, halves.shape[1]
    past = len(out) - half
    torch.add(even, odd, out=out[:half])
    torch.sub(even[:past], odd[:past], out=out[half:])
