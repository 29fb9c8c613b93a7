r"""Sums of delayed inputs where a delay belongs to an input, or to a neuron, not to each pair.

.. math:: y_o[t] = \sum_i w_{o,i} \sum_k a_{k,i}\, x_i[t-k] \qquad\text{or}\qquad
          y_o[t] = \sum_k a_{k,o} \sum_i w_{o,i}\, x_i[t-k]

Each signal is delayed once, so the cost is that of a layer without delays and a little more.
Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, N signals, K lags.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_delays.snn.operation import Operation
from lit_delays.snn.precision import products


def separated_sum(
    x: Tensor, weight: Tensor, source: Tensor | None, target: Tensor | None, num_steps: int
) -> Tensor:
    """Sum the delayed inputs of every neuron, shape ``(T', B, O)``.

    Args:
        x: Input, shape ``(T, B, I)``.
        weight: Weights, shape ``(O, I)``.
        source: Taps of every input, shape ``(K, I)``: delayed, then weighed; or None.
        target: Taps of every neuron, shape ``(K, O)``: weighed, then delayed; or None.
        num_steps: Output steps ``T'``.

    Example:
        >>> x, taps = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1), torch.tensor([[0.0], [0.5]])
        >>> separated_sum(x, torch.tensor([[2.0]]), taps, None, num_steps=3).flatten()
        tensor([0., 1., 0.])
    """
    device = x.device.type
    if source is not None:
        x = delayed_each(x, source, num_steps)
    with products(device):  # of a view, also of signals that lie together
        y = F.linear(x.flatten(0, 1), weight).view(*x.shape[:2], -1)
    y = y.float() if torch.is_autocast_enabled(device) else y
    return y if target is None else delayed_each(y, target, num_steps)


def _delayed_each(x: Tensor, taps: Tensor, num_steps: int) -> Tensor:
    """Each signal ``(T, B, N)`` delayed by its own taps ``(K, N)``, shape ``(T', B, N)``; not reduced."""
    with torch.autocast(x.device.type, enabled=False):
        taps = taps.to(x.dtype)
        past, future = len(taps) - 1, num_steps - len(x)
        padded = F.pad(x.permute(1, 2, 0), (past, future))
        y = F.conv1d(padded, taps.flip(0).T.unsqueeze(1), groups=x.shape[-1])
    return y.permute(2, 0, 1)


delayed_each = Operation(_delayed_each, name="delayed_each")
