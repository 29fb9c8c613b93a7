"""A bump around the threshold."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_delays.snn.surrogates import Surrogate


@dataclass(frozen=True)
class Bump(Surrogate):
    """A Gaussian bump.

    Args:
        width: Its standard deviation, above 0.
    """

    width: float = 0.3

    def derivative(self, excess: Tensor) -> Tensor:
        return torch.exp(-0.5 * (excess / self.width) ** 2)
