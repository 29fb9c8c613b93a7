"""What stands in for a norm where there is none."""

import torch
from torch import Tensor, nn
from typing_extensions import override


class Bias(nn.Module):
    r"""A learned current of every neuron in every step: :math:`x + b`.

    It starts as that of a linear layer of torch, uniform within :math:`\pm 1 / \sqrt{I}`.

    Args:
        num_neurons: Neurons, ``N``.
        num_inputs: Inputs of each, ``I``.

    Shape:
        Input and output ``(..., N)``.

    Example:
        >>> bool((Bias(3, 4)(torch.zeros(2, 3)).abs() <= 0.5).all())
        True
    """

    def __init__(self, num_neurons: int, num_inputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(num_neurons).uniform_(-1, 1) * num_inputs**-0.5)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias
