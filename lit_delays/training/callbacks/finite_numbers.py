"""Numbers that are not finite stop a run before they reach a weight or a checkpoint."""

import math
import re
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch import Callback
from torch import Tensor, nn
from typing_extensions import override

from lit_delays.errors import InputError
from lit_delays.training.callbacks.stop_signals import together
from lit_delays.training.classifier import network_of

ADVICE = "lower `--model.optimizer.weight_lr`, or give `--trainer.gradient_clip_val=1`"


class FiniteNumbers(Callback):
    """Checks the gradients of every step, and every state before it is saved.

    Not the loss alone: a threshold makes silence of NaN, so a broken layer can hide behind a finite loss.
    The gradients are the same in all processes, so they stop together. Only then the layer is searched for.
    """

    def __init__(self) -> None:
        self._batch: Any = None
        self._loss: Tensor | None = None

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch

    @override
    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()

    @override
    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return  # float16: the scaler meets infinite gradients on its way, and leaves such steps out
        assert self._loss is not None
        size = gradient_size(pl_module)
        if trainer.world_size == 1:
            size = size + self._loss  # of several processes, others may have a finite one
        if math.isfinite(size):
            return
        place = f"epoch {trainer.current_epoch + 1}, batch {trainer.fit_loop.batch_idx + 1}"
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            cause = first_not_finite(network_of(pl_module), self._batch.counts())
        raise together(
            trainer,
            InputError(
                f"training diverged in {place}: the loss is {float(self._loss):.4g}, and not finite is first"
                f" {cause or 'the loss itself'}. Checkpoints are from before; {ADVICE}."
            ),
        )

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        for name, value in checkpoint["state_dict"].items():
            if value.is_floating_point() and not value.isfinite().all():
                raise together(
                    trainer,
                    InputError(
                        f"training diverged in epoch {trainer.current_epoch + 1}: not finite is"
                        f" `{readable(name.removeprefix('network.'))}`. It is not saved; {ADVICE}."
                    ),
                )


def gradient_size(module: nn.Module) -> Tensor:
    """Norm of all gradients together: not finite where any of them is not."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def first_not_finite(network: nn.Module, counts: Tensor) -> str | None:
    """What is not finite first: a parameter, else a layer's output, else the gradient nearest to the loss.

    Args:
        network: With the gradients of a backward pass, in training mode.
        counts: Its input.
    """
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if not value.isfinite().all():
            return f"the parameter `{readable(name)}`"
    if (layer := _first_layer(network, counts)) is not None:
        return f"the output of `{readable(layer)}`"
    for name, parameter in reversed(list(network.named_parameters())):
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of `{readable(name)}`"
    return None


def readable(name: str) -> str:
    """The place of a part of the network as tables and figures name its layers.

    Example:
        >>> readable("layers.0.synapses.weight"), readable("readout.synapses.delay")
        ('hidden1.synapses.weight', 'readout.synapses.delay')
    """
    return re.sub(r"^layers\.(\d+)", lambda found: f"hidden{int(found[1]) + 1}", name)


def _first_layer(network: nn.Module, counts: Tensor) -> str | None:
    bad: list[str] = []

    def note(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                bad.append(name)

        return look

    handles = [part.register_forward_hook(note(name)) for name, part in network.named_modules() if name]
    network(counts)
    for handle in handles:
        handle.remove()
    return bad[0] if bad else None
