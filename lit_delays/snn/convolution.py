r"""Sums of delayed inputs: what every synapse of a layer adds to its target neuron.

.. math:: y_o[t] = \sum_i \sum_{k=0}^{K-1} \kappa_{k,o,i}\; x_i[t-k]

with :math:`x` zero outside its own time: a causal convolution.
Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags.
"""

import torch.nn.functional as F
from torch import Tensor


def delayed_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs of every neuron by a plain 1D convolution: the reference, kept for ever.

    Args:
        x: Input, shape ``(T, B, I)``.
        kernel: Weight of every lag, shape ``(K, O, I)``; lag 0 is now.
        num_steps: Output steps ``T'``, at most ``T + K - 1``; later ones hear only delayed inputs.

    Returns:
        Summed currents, shape ``(T', B, O)``.

    Example:
        >>> import torch
        >>> x = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
        >>> kernel = torch.tensor([0.0, 0.5]).view(2, 1, 1)
        >>> delayed_sum(x, kernel, num_steps=3).flatten()
        tensor([0.0000, 0.5000, 0.0000])
    """
    past, future = kernel.shape[0] - 1, num_steps - x.shape[0]
    x = F.pad(x.permute(1, 2, 0), (past, future))  # conv1d wants (B, I, T)
    taps = kernel.flip(0).permute(1, 2, 0)  # and cross-correlates: oldest lag first
    return F.conv1d(x, taps).permute(2, 0, 1)
