"""A run that is cut off anywhere and started again ends like one that never was, bit for bit.

Three things make it so. What is drawn in a batch is a function of its place, not of the batches before. A
stopped run keeps everything that an epoch has gathered so far. A killed one goes back to the last checkpoint
and repeats what followed, to the same end.
"""

import random
import sys
import time
from pathlib import Path
from typing import Any, TypeVar, cast

import lightning.pytorch as pl
import numpy as np
import torch
import torch.distributed
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import Checkpoint
from torchmetrics import Metric
from typing_extensions import override

from lit_delays.errors import InputError
from lit_delays.training.callbacks.stop_signals import EXIT_CODES, Interrupted, StopSignals, together
from lit_delays.training.epoch_table import EpochTable

T = TypeVar("T")
MetricStates = dict[str, dict[str, Any]]  # of every metric by its place in the module


FINISHED = "finished"  # in a checkpoint: whether training has ended with it, before its last epoch


class ExactResume(Checkpoint):
    """Draws, saves and restores so that stopping leaves no trace in the result.

    A signal is answered after the batch at hand: the state goes into ``path``, and the run ends with the
    signal's exit code. While a validation is due, and in it, the answer waits for the end of the epoch, which
    is saved anyway. What a callback has ended, as early stopping does, stays at its end.

    Args:
        path: Where the state of a run that was stopped inside an epoch goes; None saves nothing.
        signals: Which notes the signals.
    """

    def __init__(self, path: Path | None, signals: StopSignals) -> None:
        self.path, self.signals = path, signals
        self._seed: int | None = None
        self._gathered: list[MetricStates] = []  # by process; of the epoch that the run was stopped in
        self._num_devices: int | None = None
        self._seconds, self._since = 0.0, time.monotonic()

    @property
    def minutes(self) -> float:
        """Time that training took up to the newest checkpoint, also in the starts before this one."""
        return self._seconds / 60

    @override
    def state_dict(self) -> dict[str, Any]:
        self._seconds, self._since = self._seconds + time.monotonic() - self._since, time.monotonic()
        return {
            "seed": self._seed,
            "num_devices": self._num_devices,
            "gathered": self._gathered,
            "seconds": self._seconds,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seed, self._gathered = state_dict["seed"], state_dict["gathered"]
        self._num_devices, self._seconds = state_dict["num_devices"], state_dict["seconds"]

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[FINISHED] = trainer.should_stop

    @override
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        is_own = self.path is not None and trainer.ckpt_path == str(self.path)  # not one to start from
        trainer.should_stop = is_own and bool(checkpoint.get(FINISHED))

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._seed is None:
            self._seed = torch.initial_seed()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.monotonic()
        for logger in trainer.loggers:
            if isinstance(logger, EpochTable):
                logger.drop_from(trainer.current_epoch)
        if self._num_devices not in (None, trainer.world_size):
            raise together(
                trainer,
                InputError(
                    f"this run began on {self._num_devices} devices, got {trainer.world_size}, and a step"
                    f" sees the samples of all; go on with {self._num_devices}, or give another --name."
                ),
            )
        self._num_devices = trainer.world_size
        if not self._gathered:
            return
        own = move_data_to_device(self._gathered[trainer.global_rank], pl_module.device)
        for name, metric in _metrics(pl_module).items():
            for key, value in own.get(name, {}).items():
                setattr(metric, key, value)
        self._gathered = []

    @override
    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert self._seed is not None
        place = (self._seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        first, *more = np.random.SeedSequence(place).generate_state(3, np.uint64).tolist()
        torch.manual_seed(first)
        np.random.seed(more[0] % 2**32)  # noqa: NPY002  (whatever a callback or an augmentation draws from)
        random.seed(more[1])

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._is_wanted(trainer) and _can_stop_here(trainer, batch_idx + 1):
            if self.path is not None:
                self._gathered = _from_all(trainer, _states(pl_module))
                trainer.save_checkpoint(self.path)
            self._stop(trainer, f"epoch {trainer.current_epoch + 1}, batch {batch_idx + 1}")

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._is_wanted(trainer):
            self._stop(trainer, f"epoch {trainer.current_epoch}")

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._is_wanted(trainer):
            self._stop(trainer, "the last epoch")

    def _is_wanted(self, trainer: pl.Trainer) -> bool:
        """Whether any process has received a signal: they stop after the same batch, or not at all."""
        return trainer.strategy.reduce_boolean_decision(self.signals.received is not None, all=False)

    def _stop(self, trainer: pl.Trainer, place: str) -> None:
        number = next(number for number in _from_all(trainer, self.signals.received) if number is not None)
        if trainer.is_global_zero:
            print(
                f"stopped by {number.name} after {place}; the same command goes on from there",
                file=sys.stderr,
            )
        raise together(trainer, Interrupted(EXIT_CODES[number]))


def _can_stop_here(trainer: pl.Trainer, num_batches: int) -> bool:
    """Whether nothing is open after so many batches of an epoch: no validation, no gathered gradients."""
    loop = trainer.fit_loop
    is_last = num_batches >= trainer.num_training_batches
    has_stepped = num_batches % trainer.accumulate_grad_batches == 0
    assert loop._data_fetcher is not None
    return not is_last and has_stepped and not loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def _metrics(module: pl.LightningModule) -> dict[str, Metric]:
    return {name: part for name, part in module.named_modules() if isinstance(part, Metric)}


def _states(module: pl.LightningModule) -> MetricStates:
    """What the metrics of an epoch hold so far, on the CPU."""
    states = {name: dict(metric.metric_state) for name, metric in _metrics(module).items()}
    moved: MetricStates = move_data_to_device(states, torch.device("cpu"))
    return moved


def _from_all(trainer: pl.Trainer, own: T) -> list[T]:
    """What every process has, in the order of their ranks."""
    if trainer.world_size == 1:
        return [own]
    everyones: list[T | None] = [None] * trainer.world_size
    torch.distributed.all_gather_object(everyones, own)
    return cast("list[T]", everyones)
