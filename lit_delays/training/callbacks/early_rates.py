"""Learning rates are set before other callbacks look at them."""

import lightning.pytorch as pl
from lightning.pytorch import Callback
from typing_extensions import override


class EarlyRates(Callback):
    """Sets the rates of an epoch before the callbacks behind it start the epoch.

    Lightning asks callbacks first: ``LearningRateMonitor`` would see the rates of the epoch before.
    """

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.on_train_epoch_start()
