"""A line an epoch, where output goes to a file."""

import time

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override


class EpochLines(ProgressBar):
    """Prints a line an epoch, where output goes to a file: a bar would fill it with copies of itself.

    It must come after the callbacks whose numbers it shows.
    """

    SHOWN = ("train/loss", "train/acc", "train/nmse", "val/loss", "val/acc", "val/nmse", "sigma")

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()

    @override
    def disable(self) -> None:
        """Lightning's way to silence the ranks beside the first; they have nothing to say anyway."""

    @override
    def enable(self) -> None:
        """Nothing to switch on."""

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    @override
    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        shown = "  ".join(f"{name} {float(metrics[name]):.3f}" for name in self.SHOWN if name in metrics)
        seconds = time.monotonic() - self._started
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {shown}  {seconds:.1f} s", flush=True)
