r"""Sums of delayed inputs: what every synapse of a layer adds to its target neuron.

.. math:: y_o[t] = \sum_i \sum_{k=0}^{K-1} \kappa_{k,o,i}\; x_i[t-k]

with :math:`x` zero outside its own time: a causal convolution. The plain one is the reference; the fast one
is in :mod:`lit_delays.snn.spectral`, and :func:`cheaper` chooses.
Shape letters: T input steps, T' output steps, B samples, I inputs, O outputs, K lags.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from lit_delays.snn.eager import uncompiled
from lit_delays.snn.spectral import spectral_sum
from lit_delays.snn.waves import circle

Path = Literal["auto", "direct", "spectral"]

COST_PER_NUMBER = 64  # multiply-adds in the time it takes to transform or move one number; measured on a CPU

_path: ContextVar[Path] = ContextVar("path", default="auto")


@uncompiled
def delayed_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs of every neuron, by the cheaper of two algorithms.

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
    path = _path.get()
    if path == "auto":
        path = cheaper(tuple(x.shape), tuple(kernel.shape), num_steps)
    return direct_sum(x, kernel, num_steps) if path == "direct" else spectral_sum(x, kernel, num_steps)


def direct_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    """Sum the delayed inputs by a plain 1D convolution: the reference, kept for ever."""
    if len(kernel) == 1 and num_steps == len(x):  # no delays: a linear layer
        return F.linear(x, kernel[0])
    past, future = kernel.shape[0] - 1, num_steps - x.shape[0]
    x = F.pad(x.permute(1, 2, 0), (past, future))  # conv1d wants (B, I, T)
    taps = kernel.flip(0).permute(1, 2, 0)  # and cross-correlates: oldest lag first
    return F.conv1d(x, taps).permute(2, 0, 1)


def cheaper(
    inputs: tuple[int, ...], kernel: tuple[int, ...], num_steps: int
) -> Literal["direct", "spectral"]:
    """Algorithm with the lower cost, in multiply-adds; short windows prefer the direct one.

    The direct sum takes K products per output step and synapse, the spectral one 1.5 per step of its circle;
    what goes in and comes out of the products is transformed or moved.

    Args:
        inputs: Shape ``(T, B, I)`` of the input.
        kernel: Shape ``(K, O, I)`` of the kernel.
        num_steps: Output steps ``T'``.

    Example:
        >>> cheaper((100, 256, 140), (25, 256, 140), num_steps=112)
        'spectral'
        >>> cheaper((100, 256, 140), (2, 256, 140), num_steps=100)
        'direct'
    """
    (num_inputs, batch, fan_in), (num_lags, num_neurons, _) = inputs, kernel
    synapses, signals = fan_in * num_neurons, batch * (fan_in + num_neurons)
    direct = num_steps * (num_lags * synapses * batch + COST_PER_NUMBER * signals)
    products = 1.5 * circle(num_inputs, min(num_lags, num_steps))
    spectral = products * (synapses * batch + COST_PER_NUMBER * (signals + synapses))
    return "spectral" if spectral < direct else "direct"


@contextmanager
def use(path: Path) -> Iterator[None]:
    """Force one algorithm inside a ``with``, for tests and measurements.

    Example:
        >>> import torch
        >>> with use("spectral"):
        ...     delayed_sum(torch.ones(2, 1, 1), torch.ones(1, 1, 1), 2).flatten().round(decimals=5)
        tensor([1., 1.])
    """
    token = _path.set(path)
    try:
        yield
    finally:
        _path.reset(token)
