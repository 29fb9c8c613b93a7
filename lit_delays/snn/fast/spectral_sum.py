r"""The fast sum of delayed inputs: a product of spectra instead of a sum over lags.

On a circle of n steps, long enough that nothing wraps around, a convolution is one product per frequency.
Written in real numbers it is a bilinear algorithm,

.. math:: y = A \,\bigl( (D\,x) \odot (G\,\kappa) \bigr),

with constant matrices and about 1.5 n products per synapse, where the direct sum needs T K. A complex product
takes three real ones: with :math:`p_0 = -d\,(a + b),\; p_1 = (c + d)\,a,\; p_2 = (d - c)\,b` the product
:math:`(a + ib)(c + id)` has the real part :math:`p_0 + p_1` and the imaginary part :math:`-(p_0 + p_2)`.
So D puts out :math:`a + b, a, b` of every frequency, G :math:`-d, c + d, d - c`, and A is the transpose of a
transform: see :mod:`.real_dft`. All gradients are the same sum with transposed matrices.

A long input goes through a shorter circle block by block, and the echoes of the blocks add up: so the cost
grows as the length. Which circle is cheapest says :mod:`.circle`.

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags, G groups of
frequencies, R rows of a group.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast.circle import Dft, cheapest_circle
from lit_delays.snn.fast.compact import compact
from lit_delays.snn.fast.compiled import stages
from lit_delays.snn.fast.memory_pool import recycled, recycled_like
from lit_delays.snn.fast.real_dft import MATRICES, pieces
from lit_delays.snn.fast.scratch import scratch_like
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.precision import product_dtype

INPUTS = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))  # a + b, a, b
KERNEL = ((0.0, -1.0), (1.0, 1.0), (-1.0, 1.0))  # -d, c + d, d - c
OUTPUTS = ((1.0, -1.0), (1.0, 0.0), (0.0, -1.0))  # whose transpose is A n / 2

COST_PER_NUMBER = 96  # multiply-adds in the time it takes to move one number; measured on a CPU
HEAD = 4  # first steps that are summed directly
TAPS = 2**23  # numbers of the kernel's spectrum in memory at once; a long kernel is read for each such piece
SPECTRA = 2**25  # numbers of a spectrum of signals in memory at once


@uncompiled
def _can(x: Tensor, kernel: Tensor, num_steps: int) -> bool:
    return x.numel() > 0 and is_cheaper(tuple(x.shape), tuple(kernel.shape), num_steps)


@uncompiled
def _can_compiled(x: Tensor, kernel: Tensor, num_steps: int) -> bool:
    return x.device.type == "cpu" and _can(x, kernel, num_steps) and stages() is not None


def is_cheaper(inputs: tuple[int, ...], kernel: tuple[int, ...], num_steps: int) -> bool:
    """Whether it costs less than the plain convolution, which is good at one lag, and at few samples.

    Args:
        inputs: Shape ``(T, B, I)`` of the input.
        kernel: Shape ``(K, O, I)`` of the kernel.
        num_steps: Output steps ``T'``.

    Example:
        >>> is_cheaper((100, 256, 140), (25, 256, 140), num_steps=112)
        True
        >>> is_cheaper((100, 1, 140), (25, 256, 140), num_steps=112)
        False
    """
    (num_inputs, batch, fan_in), (num_lags, num_neurons, _) = inputs, kernel
    numbers = batch * (fan_in + num_neurons)
    direct = num_steps * (num_lags * fan_in * num_neurons * batch + COST_PER_NUMBER * numbers)
    sizes = num_inputs, min(num_lags, num_steps), batch, fan_in, num_neurons
    return cheapest_circle(MATRICES, *sizes).cost < direct


@delayed_sum.register("compiled", can=_can_compiled)
@uncompiled
def compiled_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """With transforms in compiled loops."""
    return sum_by_spectra(x, kernel, num_steps, stages() or MATRICES)


@delayed_sum.register("spectral", can=_can)
@uncompiled
def spectral_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """With transforms that are products with small matrices."""
    return sum_by_spectra(x, kernel, num_steps, MATRICES)


def sum_by_spectra(x: Tensor, kernel: Tensor, num_steps: int, dft: Dft) -> Tensor:
    """Sum the delayed inputs of every neuron; as :func:`~lit_delays.snn.delayed_sum.delayed_sum`.

    Under autocast the transforms stay in float32 (half precision would lose small taps beside large ones);
    only the products of spectra are reduced, where :mod:`~lit_delays.snn.precision` says so. Numbers of half
    precision are summed in float32 too.
    """
    device = x.device.type
    reduced = product_dtype(device)
    with torch.autocast(device, enabled=False):
        given = torch.promote_types(x.dtype, kernel.dtype)
        dtype = torch.float32 if reduced or given.itemsize < 4 else given
        apply: Callable[..., Tensor] = _SpectralSum.apply
        y = apply(x.to(dtype), kernel.to(dtype), num_steps, reduced or dtype, dft)
        return y if reduced else y.to(given)


class _Transforms:
    """The transforms of a sum, block by block, and how much of it is in memory at once.

    Attributes:
        inputs: Steps of the input that each block takes.
        outputs: Steps of the output that each block reaches.
        samples: Shares of the batch.
        groups: Shares of the frequencies.
    """

    def __init__(self, x: Tensor, kernel: Tensor, num_steps: int, dtype: torch.dtype, dft: Dft) -> None:
        num_lags, synapses = len(kernel), kernel[0].numel()
        block, n, columns, _ = cheapest_circle(dft, len(x), num_lags, *x.shape[1:], kernel.shape[1])
        starts = range(0, len(x), block)
        self.dtype = dtype
        self.inputs = [slice(at, min(at + block, len(x))) for at in starts]
        self.outputs = [slice(at, min(at + block + num_lags - 1, num_steps)) for at in starts]
        back = tuple((2 / n * real, 2 / n * imaginary) for real, imaginary in OUTPUTS)
        kind = x.dtype, x.device
        self.of_inputs = dft.make(n, columns, block, INPUTS, *kind)
        self.of_outputs = dft.make(n, columns, min(block + num_lags - 1, num_steps), back, *kind)
        self.of_kernel = dft.make(n, columns, num_lags, KERNEL, *kind)
        self.size = self.num_groups, num_rows = self.of_inputs.size
        widest = max(kernel.shape[1:])
        self.samples = pieces(x.shape[1], SPECTRA // (self.num_groups * num_rows * len(starts) * widest))
        at_once = max(TAPS, kernel.numel() // 4)
        self.groups = pieces(self.num_groups, at_once // (num_rows * synapses))

    def spectra_of_inputs(self, x: Tensor, like: Tensor) -> Tensor:
        """From ``(T, B, I)``, numbers or truths, to ``(G, R, blocks B, I)``."""
        spectra = scratch_like("inputs", like, *self.size, len(self.inputs) * x.shape[1], x.shape[2])
        for steps, here in zip(self.inputs, torch.split(spectra, x.shape[1], dim=2), strict=True):
            self.of_inputs.forward(x[steps], out=here)
        return spectra.to(self.dtype)

    def spectra_of_outputs(self, grad: Tensor) -> Tensor:
        """From ``(T', B, O)`` to ``(G, R, blocks B, O)``."""
        spectra = scratch_like("outputs", grad, *self.size, len(self.inputs) * grad.shape[1], grad.shape[2])
        for steps, here in zip(self.outputs, torch.split(spectra, grad.shape[1], dim=2), strict=True):
            self.of_outputs.forward(grad[steps], out=here)
        return spectra.to(self.dtype)

    def outputs_of(self, spectra: Tensor, out: Tensor) -> None:
        """From ``(G, R, blocks B, O)`` to ``(T', B, O)``: the echoes of all blocks."""
        if adds := len(self.outputs) > 1:
            out.zero_()
        spectra = spectra.to(out.dtype)
        for steps, here in zip(self.outputs, torch.split(spectra, out.shape[1], dim=2), strict=True):
            self.of_outputs.backward(here, out[steps], adds=adds)

    def inputs_of(self, spectra: Tensor, out: Tensor) -> None:
        """The transpose of :meth:`spectra_of_inputs`."""
        spectra = spectra.to(out.dtype)
        for steps, here in zip(self.inputs, torch.split(spectra, out.shape[1], dim=2), strict=True):
            self.of_inputs.backward(here, out[steps])

    def taps(self, kernel: Tensor, groups: slice) -> Tensor:
        """Spectrum ``(G R, O, I)`` of the kernel at some groups."""
        taps = scratch_like("taps", kernel, groups.stop - groups.start, self.size[1], *kernel.shape[1:])
        self.of_kernel.forward(kernel, taps, groups)
        return taps.flatten(0, 1).to(self.dtype)

    def add_taps(self, taps: Tensor, groups: slice, grad_kernel: Tensor) -> None:
        """Add the gradient of some groups to that of the kernel: the transpose of :meth:`taps`."""
        taps = taps.to(grad_kernel.dtype).view(-1, self.size[1], *taps.shape[1:])
        self.of_kernel.backward(taps, grad_kernel, groups, adds=True)


class _SpectralSum(torch.autograd.Function):
    """Goes through batch and frequencies in pieces; what lives no longer lies in scratch memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, num_steps: int, dtype: torch.dtype, dft: Dft) -> Tensor:
        x, used = x.contiguous(), kernel[:num_steps]  # longer lags come too late
        transforms = _Transforms(x, used, num_steps, dtype, dft)
        y = recycled((num_steps, x.shape[1], kernel.shape[1]), x.dtype, x.device)
        for some in transforms.samples:
            spectra = transforms.spectra_of_inputs(x[:, some], kernel)
            products = scratch_like("outputs", spectra, *spectra.shape[:3], kernel.shape[1])
            for groups in transforms.groups:
                taps = transforms.taps(used, groups)
                torch.bmm(spectra[groups].flatten(0, 1), taps.mT, out=products[groups].flatten(0, 1))
            transforms.outputs_of(products, out=y[:, some])
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*compact(x), kernel)
            ctx.transforms = transforms
        return _exact_head(y, x, used)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        x, size, kernel = ctx.saved_tensors
        grad, transforms, used = grad.contiguous(), ctx.transforms, kernel[: len(grad)]
        grad_x = recycled(tuple(x.shape), kernel.dtype, kernel.device) if ctx.needs_input_grad[0] else None
        grad_kernel = recycled_like(kernel).zero_()
        for some in transforms.samples:
            # made again, not kept: it is half as large again as x
            spectra = transforms.spectra_of_inputs(x[:, some], kernel)
            above = transforms.spectra_of_outputs(grad[:, some])
            for groups in transforms.groups:
                inputs, outputs = spectra[groups].flatten(0, 1), above[groups].flatten(0, 1)
                taps = scratch_like("taps", above, len(outputs), *kernel.shape[1:])
                torch.bmm(outputs.mT, inputs, out=taps)
                transforms.add_taps(taps, groups, grad_kernel[: len(used)])
                if grad_x is not None:  # overwrites the groups that are done
                    torch.bmm(outputs, transforms.taps(used, groups), out=inputs)
            if grad_x is not None:
                transforms.inputs_of(spectra, out=grad_x[:, some])
        return grad_x, grad_kernel.mul_(size), None, None, None


def _exact_head(y: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Sum the first steps directly: spectra round to parts of the largest output, not of each.

    There a sample has hardly begun and outputs are zero or the far tail of a tap, 1e-23. A maximum over time
    sees which is larger.
    """
    for t in range(min(HEAD, len(x), len(y))):
        torch.mm(x[t], kernel[0].T, out=y[t])
        for lag in range(1, min(t + 1, len(kernel))):
            y[t].addmm_(x[t - lag], kernel[lag].T)
    return y
