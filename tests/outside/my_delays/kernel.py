"""A raised cosine around the delay: smooth, and nothing outside its width."""

import math

from torch import Tensor

from lit_delays.snn.kernels import Kernel

HALF_WIDTH = 1 / math.sqrt(1 / 3 - 2 / math.pi**2)  # in standard deviations


class RaisedCosine(Kernel):
    """A raised cosine."""

    min_sigma = 1 / HALF_WIDTH  # a half-width of one step: narrower ones could fall between two lags

    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:
        angle = distance * math.pi / (HALF_WIDTH * sigma)
        return (1 + angle.cos()) / 2 * (angle.abs() < math.pi)

    def slope(self, distance: Tensor, sigma: Tensor, shape: Tensor) -> Tensor:
        angle = distance * math.pi / (HALF_WIDTH * sigma)
        return angle.sin() * math.pi / (2 * HALF_WIDTH * sigma) * (shape > 0)
