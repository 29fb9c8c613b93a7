"""Which circle a sum by spectra takes: the one of least cost.

Shape letters: T input steps, K lags, B samples, I inputs, O outputs; n steps of a circle.
"""

from functools import lru_cache
from typing import NamedTuple

from lit_delays.snn.fast.real_dft import transform_cost

# in the time that one takes inside a large product, measured on a CPU
SMALL_PRODUCT = 2  # of each multiply-add of a transform, which is as fast as memory
NUMBER = 40  # of each number of a spectrum
MOST_COLUMNS = 64


class Circle(NamedTuple):
    """How a sum is made.

    Attributes:
        block: Input steps that go through the circle at once.
        steps: Steps of the circle, ``n``: at least those of a block and its echo.
        columns: ``Q`` of its transforms.
        cost: In multiply-adds inside a large product.
    """

    block: int
    steps: int
    columns: int
    cost: float


@lru_cache(maxsize=1024)
def cheapest_circle(num_steps: int, num_lags: int, batch: int, fan_in: int, num_neurons: int) -> Circle:
    """The cheapest circle for T steps and K lags.

    Products of spectra want few blocks, and many samples pay for them; a kernel's transform wants a short
    circle, and many synapses pay for it.

    Example:
        >>> cheapest_circle(100, 25, 256, 140, 256)[:3]
        (100, 126, 7)
        >>> cheapest_circle(4000, 251, 32, 256, 256)[:3]
        (500, 750, 15)
    """
    blocks = {min(num_steps, factor * num_lags) for factor in (1, 2, 3, 4, 6, 8)} | {num_steps}
    num_blocks = {-(-num_steps // block) for block in blocks}
    circles = (
        circle(-(-num_steps // number), columns, num_steps, num_lags, batch, fan_in, num_neurons)
        for number in sorted(num_blocks)
        for columns in range(1, MOST_COLUMNS)
    )
    return min(circles, key=lambda found: found.cost)


def circle(
    block: int, columns: int, num_steps: int, num_lags: int, batch: int, fan_in: int, num_neurons: int
) -> Circle:
    """The shortest circle of so many columns for blocks of this length, and what it costs."""
    n = -(-(block + num_lags - 1) // (2 * columns)) * 2 * columns
    num_blocks, synapses = -(-num_steps // block), fan_in * num_neurons
    signals = num_blocks * batch * (fan_in + num_neurons)
    products = 1.5 * n * num_blocks * batch * synapses

    def transforms(length: int) -> float:
        return SMALL_PRODUCT * transform_cost(n, columns, length) + NUMBER * 1.5 * n

    cost = products + signals * transforms(block + num_lags // 2)
    cost += synapses * transforms(num_lags)
    return Circle(block, n, columns, cost)
