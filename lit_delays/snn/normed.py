r"""Batch norm, spiking neurons and dropout as one operation, which keeps nothing but its input.

.. math:: z = \gamma\,\hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\mathrm{var} + \epsilon}}, \qquad
          s = m \odot \mathrm{LIF}(z)

Apart, the norm keeps its input for the backward pass and the neurons their voltage. Here the voltage is made
again, which costs four operations a step where the sum of delayed inputs costs thousands. A batch norm's
gradient is

.. math:: \bar x = \frac{\gamma}{\sqrt{\mathrm{var} + \epsilon}}
                   \Bigl(\bar z - \overline{\bar z} - \hat x\,\overline{\bar z\,\hat x}\Bigr),

where long bars are means over time and batch. Shape letters: T steps, B samples, N neurons; (T, B, N).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from lit_delays.snn.eager import uncompiled
from lit_delays.snn.neurons import Neuron
from lit_delays.snn.recycled import recycled_like
from lit_delays.snn.scan import grad_leak, lif_backward
from lit_delays.snn.surrogates import Surrogate


def fits(norm: nn.Module, neuron: Neuron, current: Tensor) -> bool:
    """Whether :func:`normed_lif_scan` can stand in for norm and neurons; a GPU has faster kernels of each."""
    return (
        type(norm) is nn.BatchNorm1d
        and norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None  # else it averages over all batches
        and neuron.kind in ("lif", "plif")
        and math.isfinite(neuron.v_threshold)
        and current.device.type == "cpu"
        and current.dtype == norm.weight.dtype
        and current[..., 0].numel() > 1  # one value has no variance: the norm says so itself
    )


@uncompiled
def normed_lif_scan(current: Tensor, norm: nn.BatchNorm1d, neuron: Neuron, mask: Tensor) -> Tensor:
    """Spikes of ``neuron(norm(current)) * mask`` in training; updates the norm's running statistics.

    Args:
        current: Input currents, shape ``(T, B, N)``, for which :func:`fits` holds.
        norm: Batch norm over time and batch.
        neuron: Leaky integrate-and-fire neurons.
        mask: What of a spike is heard, shape ``(1, B, N)``.

    Returns:
        Zeros and the mask's values, shape ``(T, B, N)``.

    Example:
        >>> from lit_delays.snn.surrogates import ATan
        >>> current = torch.tensor([0.0, 4.0, 1.0, 3.0]).view(4, 1, 1)
        >>> neuron = Neuron("lif", tau=2.0, v_threshold=0.5, surrogate=ATan())
        >>> normed_lif_scan(current, nn.BatchNorm1d(1), neuron, torch.tensor([[[2.0]]])).detach().flatten()
        tensor([0., 2., 0., 0.])
    """
    current = current.contiguous()
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    with torch.no_grad():
        norm.num_batches_tracked += 1
        mean, variance = torch.batch_norm_update_stats(
            current.detach().flatten(0, 1), norm.running_mean, norm.running_var, norm.momentum
        )
    deviation = (variance + norm.eps).sqrt()
    settings = mask, neuron.leak, neuron.v_threshold, neuron.surrogate
    return _NormedLif.apply(current, norm.weight, norm.bias, mean, deviation, *settings)  # type: ignore


class _NormedLif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        gain: Tensor,
        bias: Tensor,
        mean: Tensor,
        deviation: Tensor,
        mask: Tensor,
        leak: Tensor | float,
        v_threshold: float,
        surrogate: Surrogate,
    ) -> Tensor:
        scale = gain / deviation
        shift = bias - mean * scale
        ctx.save_for_backward(current, mean, deviation, scale, shift, mask)
        ctx.constants = keep, *_ = 1 - float(leak), v_threshold, surrogate
        heard, rest = recycled_like(current), torch.zeros_like(current[0])
        for x, s in zip(current, heard, strict=True):
            h = torch.addcmul(shift, x, scale).add_(rest, alpha=keep)
            torch.ge(h, v_threshold, out=s)
            rest = h.addcmul_(h, s, value=-1)
            s *= mask[0]
        return heard

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        current, mean, deviation, scale, shift, mask = ctx.saved_tensors
        keep, v_threshold, surrogate = ctx.constants
        v_mem = _voltage(current, scale, shift, keep, v_threshold)
        learns_leak = ctx.needs_input_grad[6]
        place = recycled_like(v_mem) if learns_leak else v_mem
        grad = lif_backward(grad, v_mem, keep, v_threshold, surrogate, mask, out=place)
        leak = grad_leak(grad, v_mem, v_threshold) if learns_leak else None
        gain, bias = _norm_backward(grad, current, mean, deviation, scale)
        return grad, gain, bias, None, None, None, leak, None, None


def _voltage(current: Tensor, scale: Tensor, shift: Tensor, keep: float, v_threshold: float) -> Tensor:
    """Voltage before reset, by the same operations as in the forward pass: not one bit may differ."""
    v_mem, rest = recycled_like(current), torch.zeros_like(current[0])
    for x, h in zip(current, v_mem, strict=True):
        torch.addcmul(shift, x, scale, out=h).add_(rest, alpha=keep)
        rest = torch.addcmul(h, h, (h >= v_threshold).to(h.dtype), value=-1)
    return v_mem


def _norm_backward(
    grad: Tensor, current: Tensor, mean: Tensor, deviation: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn the gradient of z into that of the current, in place; gradients of gain and bias."""
    total, product = torch.zeros_like(grad[0]), torch.zeros_like(grad[0])
    for g, x in zip(grad, current, strict=True):
        total += g
        product.addcmul_(g, x - mean)
    bias, gain = total.sum(dim=0), product.sum(dim=0) / deviation
    along = -scale / deviation * gain / grad[..., 0].numel()
    constant = -scale * bias / grad[..., 0].numel() - along * mean
    for g, x in zip(grad, current, strict=True):
        torch.addcmul(torch.addcmul(constant, x, along), g, scale, out=g)
    return gain, bias
