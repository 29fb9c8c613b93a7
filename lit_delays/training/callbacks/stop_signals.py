"""Signals in training: the batch at hand is finished, and the same command goes on from there."""

import os
import signal
import time
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback
from typing_extensions import override

from lit_delays import stopping
from lit_delays.stopping import Interrupted, leave, listen

STARTED_BY = "LIT_DELAYS_STARTED_BY"  # in the environment of processes that Lightning starts: who did


class StopSignals(Callback):
    """Notes the signals in training, which goes on to where it can be resumed from; all else stops at once.

    Lightning's own handlers are left out: they end in exit code 0, and talk to the other processes while
    these may be in the middle of something else.

    Attributes:
        received: The first signal that came while training, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._since = time.monotonic()

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        listen(self._note)

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        listen(leave)
        if self.received is not None:  # too late for the training to answer
            leave(self.received, None)

    @override
    def on_train_batch_start(self, *_: Any) -> None:
        self._since = time.monotonic()

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        self._tell()

    @override
    def on_validation_batch_start(self, *_: Any) -> None:
        self._since = time.monotonic()

    @override
    def on_validation_batch_end(self, *_: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        if stopping.listener:
            stopping.listener.sign_of_life(time.monotonic() - self._since)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if stopping.listener:
            stopping.listener.answer()
        if number == signal.SIGINT:
            if self.received == signal.SIGINT:
                raise KeyboardInterrupt
            # not print, which may be what the signal interrupted
            os.write(2, b"\nstopping after this batch; Ctrl-C once more stops at once\n")
        self.received = self.received or signal.Signals(number)


def together(trainer: pl.Trainer, end: BaseException) -> BaseException:
    """What to raise where all processes end at one place.

    A process that Lightning started beside the user's leaves in silence: if it failed, the user's would be
    killed before it can say anything.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    is_helper = isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
    return Interrupted(0) if is_helper and os.environ.get(STARTED_BY) == str(os.getppid()) else end


def _nothing() -> None:
    pass
