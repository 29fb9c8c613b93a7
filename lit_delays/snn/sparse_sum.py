r"""Sums of delayed inputs where a neuron has few synapses.

.. math:: y_o[t] = \sum_{f=1}^{F} \sum_{k=0}^{K-1} \kappa_{k,o,f}\; x_{i(o,f)}[t-k]

Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, F synapses of a neuron, K lags.
"""

from typing import NamedTuple

from torch import Tensor

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.operation import Operation


class FewSynapses(NamedTuple):
    """The synapses that exist: as many for every neuron, of which some may have no weight.

    Attributes:
        taps: Weight of every lag, shape ``(K, O, F)``.
        inputs: Where they come from, whole numbers of shape ``(O, F)``.
    """

    taps: Tensor
    inputs: Tensor


@Operation
def sparse_sum(x: Tensor, taps: Tensor, inputs: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs of every neuron, shape ``(T', B, O)``.

    Args:
        x: Input, shape ``(T, B, I)``.
        taps: Weight of every lag, shape ``(K, O, F)``.
        inputs: Where they come from, shape ``(O, F)``.
        num_steps: Output steps ``T'``.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 5.0], [0.0, 7.0]]).view(2, 1, 2)
        >>> taps, inputs = torch.tensor([0.0, 0.5]).view(2, 1, 1), torch.tensor([[1]])
        >>> sparse_sum(x, taps, inputs, num_steps=3).flatten()
        tensor([0.0000, 2.5000, 3.5000])
    """
    nothing = taps.new_zeros(*taps.shape[:2], x.shape[-1])
    return delayed_sum(x, nothing.scatter_add(2, inputs.expand_as(taps), taps), num_steps)
