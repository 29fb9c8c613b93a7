r"""Batch norm, spiking neurons and dropout as one operation, which keeps nothing but its input.

.. math:: z = \gamma\,\hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\mathrm{var} + \epsilon}}, \qquad
          s = m \odot \mathrm{LIF}(z)

As two operations, the norm keeps its input for the backward pass and the neurons their voltage. Here the
voltage is made again, which costs four operations a step where the sum of delayed inputs costs thousands. A
batch norm's gradient is

.. math:: \bar x = \frac{\gamma}{\sqrt{\mathrm{var} + \epsilon}}
                   \Bigl(\bar z - \overline{\bar z} - \hat x\,\overline{\bar z\,\hat x}\Bigr),

where long bars are means over time and batch, over the real steps of every sample. Shape letters: T steps, B
samples, N neurons; (T, B, N).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lit_delays.snn.fast.compiled import normed_lif_loops
from lit_delays.snn.fast.lif_scan import LifConstants, grad_leak, is_plain_lif, lif_backward
from lit_delays.snn.fast.memory_pool import recycled_like
from lit_delays.snn.fast.scratch import scratch_like
from lit_delays.snn.fast.uncompiled import uncompiled
from lit_delays.snn.network import Layer, layer_output, real_rows, silenced
from lit_delays.snn.neurons import LIF
from lit_delays.snn.surrogates import Surrogate


def _can(layer: Layer, current: Tensor, mask: Tensor, lengths: Tensor | None = None) -> bool:
    """Whether it stands in for norm and neurons, both without hooks; a GPU has faster kernels of each."""
    norm, neuron = layer.norm, layer.neuron
    return (
        type(norm) is nn.BatchNorm1d
        and norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None  # else it averages over all batches
        and layer.recurrent is None
        and is_plain_lif(neuron)
        and not (has_hooks(norm) or has_hooks(neuron))
        and current.device.type == "cpu"
        and current.dtype == norm.weight.dtype
        and _num_real(current, lengths) > 1  # one value has no variance: the norm says so itself
    )


def _num_real(current: Tensor, lengths: Tensor | None) -> int:
    return current[..., 0].numel() if lengths is None else int(lengths.clamp(0, len(current)).sum())


def has_hooks(module: nn.Module) -> bool:
    """Whether anybody waits for the call of a module."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    has_global = nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    return has_global or any(getattr(module, name) for name in hooks)


@layer_output.register("fused", can=_can)
@uncompiled
def normed_lif_scan(layer: Layer, current: Tensor, mask: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Spikes of ``neuron(norm(current)) * mask`` in training; updates the norm's running statistics."""
    norm, neuron, current = layer.norm, layer.neuron, current.contiguous()
    assert isinstance(norm, nn.BatchNorm1d)
    assert isinstance(neuron, LIF)
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    with torch.no_grad():
        norm.num_batches_tracked += 1
        mean, variance = torch.batch_norm_update_stats(
            _real(current, lengths), norm.running_mean, norm.running_var, norm.momentum
        )
    deviation = (variance + norm.eps).sqrt()
    settings = mask, lengths, neuron.leak, neuron.v_threshold, neuron.surrogate
    return _NormedLif.apply(current, norm.weight, norm.bias, mean, deviation, *settings)  # type: ignore


def _real(current: Tensor, lengths: Tensor | None) -> Tensor:
    """Currents of real steps ``(R, N)``, in scratch memory where some are not."""
    flat = current.flatten(0, 1)
    if lengths is None:
        return flat
    rows = real_rows(lengths, len(current))
    return torch.index_select(flat, 0, rows, out=scratch_like("outputs", flat, len(rows), flat.shape[1]))


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
        lengths: Tensor | None,
        leak: Tensor | float,
        v_threshold: float,
        surrogate: Surrogate,
    ) -> Tensor:
        scale = gain / deviation
        shift = bias - mean * scale
        ctx.constants = LifConstants(1 - float(leak), v_threshold, surrogate)
        ctx.save_for_backward(current, mean, deviation, scale, shift, mask, lengths)
        ctx.loops = normed_lif_loops(current, surrogate) or TorchLoops
        given = current, scale, shift, mask, lengths
        return ctx.loops.spikes(*given, ctx.constants)  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        current, mean, deviation, scale, shift, mask, lengths = ctx.saved_tensors
        given = grad.contiguous(), current, mean, scale, shift, mask, lengths
        learns_leak = ctx.needs_input_grad[7]
        grad, bias, product, leak = ctx.loops.grads(*given, ctx.constants, learns_leak)
        gain, count = product / deviation, _num_real(current, lengths)
        along = -scale / deviation * gain / count
        offset = -scale * bias / count - along * mean
        grad = ctx.loops.through_norm(grad, current, scale, along, offset, lengths)
        return grad, gain, bias, None, None, None, None, leak, None, None


class TorchLoops:
    """The loops step by step; :mod:`.compiled.normed_lif` has the same for a few neurons at a time.

    Where there are lengths ``(B,)``, steps behind them have no spikes and no gradient.
    """

    @staticmethod
    def spikes(
        current: Tensor,
        scale: Tensor,
        shift: Tensor,
        mask: Tensor,
        lengths: Tensor | None,
        constants: LifConstants,
    ) -> Tensor:
        """Of currents ``scale x + shift``, times the mask."""
        output, rest = recycled_like(current), torch.zeros_like(current[0])
        for x, s in zip(current, output, strict=True):
            h = torch.addcmul(shift, x, scale).add_(rest, alpha=constants.keep)
            torch.ge(h, constants.v_threshold, out=s)
            rest = h.addcmul_(h, s, value=-1)
            s *= mask[0]
        return silenced(output, lengths)

    @staticmethod
    def grads(
        grad: Tensor,
        current: Tensor,
        mean: Tensor,
        scale: Tensor,
        shift: Tensor,
        mask: Tensor,
        lengths: Tensor | None,
        constants: LifConstants,
        learns_leak: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Gradient of the normed currents; its sum, and that of its product with the centred currents.

        Sums are those of each neuron. The last is the gradient of the leak, where that is learned.
        """
        v_mem = _voltage(current, scale, shift, *constants[:2])
        out = recycled_like(v_mem) if learns_leak else v_mem
        grad = lif_backward(silenced(grad, lengths), v_mem, *constants, mask, out=out)
        leak = grad_leak(grad, v_mem, constants.v_threshold) if learns_leak else None
        total, product = torch.zeros_like(grad[0]), torch.zeros_like(grad[0])
        for g, x in zip(grad, current, strict=True):
            total += g
            product.addcmul_(g, x - mean)
        return grad, total.sum(dim=0), product.sum(dim=0), leak

    @staticmethod
    def through_norm(
        grad: Tensor,
        current: Tensor,
        scale: Tensor,
        along: Tensor,
        offset: Tensor,
        lengths: Tensor | None,
    ) -> Tensor:
        """``scale grad + along x + offset``, in place."""
        for g, x in zip(grad, current, strict=True):
            torch.addcmul(torch.addcmul(offset, x, along), g, scale, out=g)
        return silenced(grad, lengths)


def _voltage(current: Tensor, scale: Tensor, shift: Tensor, keep: float, v_threshold: float) -> Tensor:
    """Voltage before reset, by the same operations as in the forward pass: not one bit may differ."""
    v_mem, rest = recycled_like(current), torch.zeros_like(current[0])
    for x, h in zip(current, v_mem, strict=True):
        torch.addcmul(shift, x, scale, out=h).add_(rest, alpha=keep)
        rest = torch.addcmul(h, h, (h >= v_threshold).to(h.dtype), value=-1)
    return v_mem
