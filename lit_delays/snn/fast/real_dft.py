r"""A discrete Fourier transform of real signals, as products with small matrices of cosines and sines.

At the frequencies :math:`f + 1/2` no number is its own mirror image, so n / 2 complex ones hold all of a real
signal of n steps. (Sums on this circle change their sign where they wrap around; here none does.) With
:math:`n = P Q` steps :math:`t = Q p + q` and frequencies :math:`f = g + P h` it takes two products,

.. math:: X_{g + P h} = \sum_q e^{-2 \pi i (g + P h + 1/2)\, q / n}
          \sum_p e^{-2 \pi i (g + 1/2)\, p / P}\; x_{Q p + q},

about :math:`P + 6 Q` multiply-adds a step, where one product takes :math:`3 n / 2`: that is for signals of
few steps, as short kernels are. Both leave time, or frequency, first and the signals as they lie, where
`torch.fft` transposes all of them twice.

A transform may put out any mixtures of real and imaginary parts; three are what :mod:`.spectral_sum` needs.
Shape letters: T steps, B samples, N neurons, G groups (g), R rows of a group: Q frequencies, three mixtures.

Source:
    Cooley and Tukey (1965), Math. Comput. 19, 297.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lit_delays.snn.fast.circle import Dft
from lit_delays.snn.fast.scratch import scratch_like

# in the time that a multiply-add takes inside a large product, measured on a CPU
SMALL_PRODUCT = 2  # of each multiply-add of a transform, which is as fast as memory
NUMBER = 40  # of each number of a spectrum
MOST_COLUMNS = 64
SIGNALS = 8192  # transformed at once: few enough for the processor's cache


class Transform(NamedTuple):
    """Matrices of a transform; signals may be shorter than its circle.

    Attributes:
        first: From p to g, real and imaginary parts, shape ``(G, 2, P)``; None for one product.
        second: From q to R, shape ``(G, R, 2 Q)``; of one product ``(G, R, T)``.
    """

    first: Tensor | None
    second: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Groups, and rows of a group."""
        num_groups, num_rows, _ = self.second.shape
        return num_groups, num_rows

    def forward(self, x: Tensor, out: Tensor, groups: slice = slice(None)) -> None:
        """Transform ``(T, B, N)`` to some groups, ``out`` of shape ``(G, R, B, N)``."""
        for some in _shares(x):
            self._forward_piece(x[:, some].flatten(1), out[:, :, some].flatten(2), groups)

    def backward(
        self, spectrum: Tensor, out: Tensor, groups: slice = slice(None), *, adds: bool = False
    ) -> None:
        """Write, or add, what some groups ``(G, R, B, N)`` give to ``out``, ``(T, B, N)``."""
        for some in _shares(out):
            self._backward_piece(spectrum[:, :, some].flatten(2), out[:, some].flatten(1), groups, adds)

    def _forward_piece(self, x: Tensor, out: Tensor, groups: slice) -> None:
        second = self.second[groups]
        x = x if x.dtype == out.dtype else scratch_like("numbers", out, *x.shape).copy_(x)
        if self.first is None:
            torch.mm(second[..., : len(x)].flatten(0, 1), x, out=out.flatten(0, 1))
            return
        first, middle = self.first[groups].flatten(0, 1), self._middle(out)
        stride = middle.shape[1]
        for q in range(stride):
            steps = x[q::stride]
            torch.mm(first[:, : len(steps)], steps, out=middle[:, q])
        torch.bmm(second, middle.view(len(second), -1, x.shape[1]), out=out)

    def _backward_piece(self, spectrum: Tensor, out: Tensor, groups: slice, adds: bool) -> None:
        second, beta = self.second[groups], float(adds)
        if self.first is None:
            out.addmm_(second[..., : len(out)].flatten(0, 1).T, spectrum.flatten(0, 1), beta=beta)
            return
        first, middle = self.first[groups].flatten(0, 1), self._middle(spectrum)
        torch.bmm(second.mT, spectrum, out=middle.view(len(second), -1, out.shape[1]))
        stride = middle.shape[1]
        for q in range(stride):
            steps = out[q::stride]
            steps.addmm_(first[:, : len(steps)].T, middle[:, q], beta=beta)

    def _middle(self, spectrum: Tensor) -> Tensor:
        return scratch_like(
            "middle", spectrum, 2 * len(spectrum), self.second.shape[2] // 2, spectrum.shape[2]
        )


@lru_cache(maxsize=256)
def make_transform(
    n: int,
    columns: int,
    num_steps: int,
    mixtures: tuple[tuple[float, float], ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Transform:
    """The matrices, in float64 and then rounded once.

    Args:
        n: Steps of the circle.
        columns: ``Q``, so that ``n / Q`` is even.
        num_steps: ``T`` of the longest signal.
        mixtures: What to put out of every frequency: factors of its real and its imaginary part.
        dtype: Type of the numbers.
        device: Where they lie.
    """
    num_rows = n // columns
    g, h = torch.arange(num_rows // 2, device="cpu"), torch.arange(columns, device="cpu")
    twice = 2 * (g[:, None] + num_rows * h) + 1  # of each frequency, (G, Q)
    mix = torch.tensor(mixtures, dtype=torch.float64, device="cpu")

    def as_given(matrix: Tensor) -> Tensor:
        return matrix.to(device, dtype).contiguous()

    if is_one_product(n, columns, num_steps):
        real, imaginary = _waves(n, twice[..., None] * torch.arange(num_steps, device="cpu"))
        rows = torch.einsum("rc,cght->grht", mix, torch.stack([real, imaginary]))
        return Transform(None, as_given(rows.flatten(1, 2)))
    first = torch.stack(_waves(num_rows, (2 * g[:, None] + 1) * torch.arange(num_rows, device="cpu")), dim=1)
    real, imaginary = _waves(n, twice[..., None] * torch.arange(columns, device="cpu"))  # (G, Q, Q)
    turned = torch.stack([torch.stack([real, -imaginary]), torch.stack([imaginary, real])])
    second = torch.einsum("rc,czghq->grhzq", mix, turned)
    return Transform(as_given(first), as_given(second.flatten(3, 4).flatten(1, 2)))


def _waves(n: int, phase: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of ``exp(-pi i phase / n)``."""
    angle = torch.pi * (phase % (2 * n)).double() / n
    return angle.cos(), -angle.sin()


def is_one_product(n: int, columns: int, num_steps: int) -> bool:
    """Whether one product takes less time than two, for a signal of so many steps."""
    return 1.5 * n * num_steps < _two_products(n, columns, num_steps)


def circles(least: int) -> list[tuple[int, int]]:
    """The shortest circle of at least so many steps for every number of columns."""
    return [(-(-least // (2 * columns)) * 2 * columns, columns) for columns in range(1, MOST_COLUMNS)]


def transform_cost(n: int, columns: int, num_steps: int) -> float:
    """Multiply-adds, inside a large product, that take as long as the transform of a signal."""
    own = min(1.5 * n * num_steps, _two_products(n, columns, num_steps))
    return SMALL_PRODUCT * own + NUMBER * 1.5 * n


def _two_products(n: int, columns: int, num_steps: int) -> float:
    """Of matrices of at least four columns; smaller ones take as long."""
    return n // columns * num_steps + 3.0 * n * max(columns, 4)


def _shares(x: Tensor) -> list[slice]:
    """Of the batch of ``(T, B, N)``: on a GPU, which wants few and large operations, all at once."""
    return pieces(x.shape[1], SIGNALS // x.shape[2] if x.device.type == "cpu" else x.shape[1])


def pieces(length: int, most: int) -> list[slice]:
    """Equal shares of a length, of at most so many, and of one at least."""
    size = -(-length // max(1, -(-length // max(1, most))))
    return [slice(first, min(first + size, length)) for first in range(0, length, size)]


MATRICES = Dft(circles, transform_cost, make_transform)
