r"""Sums of delayed inputs: what every synapse of a layer adds to its target neuron.

.. math:: y_o[t] = \sum_i \sum_{k=0}^{K-1} \kappa_{k,o,i}\; x_i[t-k]

with :math:`x` zero outside its own time: a causal convolution.
Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lit_delays.snn.operation import Operation
from lit_delays.snn.precision import products


@Operation
def delayed_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs of every neuron.

    Args:
        x: Input, shape ``(T, B, I)``.
        kernel: Weight of every lag, shape ``(K, O, I)``; lag 0 is now.
        num_steps: Output steps ``T'``, at most ``T + K - 1``; later ones sum delayed inputs alone.

    Returns:
        Summed currents, shape ``(T', B, O)``. Under autocast the products are as :mod:`.precision` says, and
        the sums are float32, for any window.

    Example:
        >>> x = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
        >>> kernel = torch.tensor([0.0, 0.5]).view(2, 1, 1)
        >>> delayed_sum(x, kernel, num_steps=3).flatten()
        tensor([0.0000, 0.5000, 0.0000])
    """
    device = x.device.type
    with products(device):
        y = _summed(x, kernel, num_steps)
    return y.float() if torch.is_autocast_enabled(device) else y


def _summed(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    if len(kernel) == 1 and num_steps == len(x):  # no delays: a linear layer
        return F.linear(x, kernel[0])
    past, future = kernel.shape[0] - 1, num_steps - x.shape[0]
    x = F.pad(x.permute(1, 2, 0), (past, future))  # conv1d wants (B, I, T)
    taps = kernel.flip(0).permute(1, 2, 0)  # and cross-correlates: oldest lag first
    return F.conv1d(x, taps).permute(2, 0, 1)
