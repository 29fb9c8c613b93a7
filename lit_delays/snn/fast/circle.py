"""Which circle a sum by spectra takes: the one of least cost.

Shape letters: T input steps, K lags, B samples, I inputs, O outputs; n steps of a circle.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple


class Dft(NamedTuple):
    """A way to make transforms.

    Attributes:
        circles: The circles it has of at least so many steps, or a few: their steps, and their columns where
            a transform is two products.
        cost: Of transforming a signal: for steps and columns of a circle, and steps of the signal.
        make: A transform, for steps and columns, steps of the longest signal, mixtures, type and device.
    """

    circles: Callable[[int], Iterable[tuple[int, int]]]
    cost: Callable[[int, int, int], float]
    make: Callable[..., Any]


class Circle(NamedTuple):
    """How a sum is made.

    Attributes:
        block: Input steps that go through the circle at once.
        steps: Steps of the circle, ``n``: at least those of a block and its echo.
        columns: ``Q`` of its transforms, where they are two products.
        cost: In multiply-adds inside a large product.
    """

    block: int
    steps: int
    columns: int
    cost: float


@lru_cache(maxsize=1024)
def cheapest_circle(
    dft: Dft, num_steps: int, num_lags: int, batch: int, fan_in: int, num_neurons: int
) -> Circle:
    """The cheapest circle for T steps and K lags.

    Products of spectra want few blocks, and many samples pay for them; a kernel's transform wants a short
    circle, and many synapses pay for it.

    Example:
        >>> from lit_delays.snn.fast.real_dft import MATRICES
        >>> cheapest_circle(MATRICES, 100, 25, 256, 140, 256)[:3]
        (100, 126, 7)
        >>> cheapest_circle(MATRICES, 4000, 251, 32, 256, 256)[:3]
        (500, 750, 15)
    """
    blocks = {min(num_steps, factor * num_lags) for factor in (1, 2, 3, 4, 6, 8)} | {num_steps}
    lengths = {-(-num_steps // -(-num_steps // block)) for block in blocks}
    sizes = num_steps, num_lags, batch, fan_in, num_neurons
    circles = (
        Circle(block, n, columns, cost(dft, block, n, columns, *sizes))
        for block in sorted(lengths, reverse=True)
        for n, columns in dft.circles(block + num_lags - 1)
    )
    return min(circles, key=lambda found: found.cost)


def cost(dft: Dft, block: int, n: int, columns: int, *sizes: int) -> float:
    """Multiply-adds that take as long as a sum on a circle, inside a large product; sizes as above."""
    num_steps, num_lags, batch, fan_in, num_neurons = sizes
    num_blocks, synapses = -(-num_steps // block), fan_in * num_neurons
    signals = num_blocks * batch * (fan_in + num_neurons)
    products = 1.5 * n * num_blocks * batch * synapses
    of_signals = signals * dft.cost(n, columns, block + num_lags // 2)
    return products + of_signals + synapses * dft.cost(n, columns, num_lags)
