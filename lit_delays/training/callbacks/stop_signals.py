"""How a run is asked to stop, and what it answers: the exit codes that clusters read.

SIGTERM and SLURM's SIGUSR1 mean that the machine is wanted back: exit code 143, and whoever started the run
starts it again. SIGINT is Ctrl-C: 130.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGINT: 130}


class Interrupted(SystemExit):
    """The run was asked to stop; its code says by what."""

    @property
    def is_preemption(self) -> bool:
        """Whether the run is to be started again."""
        return self.code == EXIT_CODES[signal.SIGTERM]


class StopSignals(Callback):
    """Notes the signals in training, which goes on to where it can be resumed from; all else stops at once.

    Lightning's own handlers are replaced: they end in exit code 0, and talk to the other processes while
    these may be in the middle of something else.

    Attributes:
        received: The first signal that came while training, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _listen(self._note)

    @override
    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _listen(_leave)

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            _listen(_leave)

    @override
    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _listen(_leave)

    @override
    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _listen(_leave)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.received == signal.SIGINT:
                raise KeyboardInterrupt
            # not print, which may be what the signal interrupted
            os.write(2, b"\nstopping after this batch; Ctrl-C once more stops at once\n")
        self.received = self.received or signal.Signals(number)


@contextmanager
def stoppable() -> Iterator[None]:
    """Within, a signal ends the process with its exit code, and all that is open is closed."""
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    _listen(_leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)


def together(trainer: pl.Trainer, end: BaseException) -> BaseException:
    """What to raise where all processes end at one place.

    A process that Lightning started beside the user's leaves in silence: if it failed, the user's would be
    killed before it can say anything.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    is_helper = isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
    return Interrupted(0) if is_helper else end


def _leave(number: int, frame: FrameType | None) -> None:
    raise Interrupted(EXIT_CODES[signal.Signals(number)])


def _listen(handler: Callable[[int, FrameType | None], None]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            signal.signal(number, handler)  # Lightning puts the ones before back when it is done
