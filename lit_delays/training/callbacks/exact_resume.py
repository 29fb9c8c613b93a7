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
from lightning.pytorch.callbacks import Checkpoint, GradientAccumulationScheduler, ModelPruning
from lightning.pytorch.utilities.model_helpers import is_overridden
from torchmetrics import Metric
from typing_extensions import override

from lit_delays.errors import InputError
from lit_delays.stopping import EXIT_CODES, Interrupted
from lit_delays.training.callbacks.provenance import FINISHED
from lit_delays.training.callbacks.stop_signals import StopSignals, together
from lit_delays.training.epoch_table import EpochTable
from lit_delays.training.runs import is_free

T = TypeVar("T")
MetricStates = dict[str, dict[str, Any]]  # of every metric: by its place in the module, or as it is logged


RESTORED = (GradientAccumulationScheduler,)  # what it sets at the start of an epoch, `ExactResume` keeps
REDUCTIONS = {torch.max: torch.maximum, torch.min: torch.minimum}


class ExactResume(Checkpoint):
    """Draws, saves and restores so that stopping leaves no trace in the result.

    A signal is answered after the batch at hand: the state goes into ``path``, and the run ends with the
    signal's exit code. Where a callback of others acts at the start of an epoch, that epoch is repeated. In a
    validation, and while one is due, the answer waits for the end of the epoch, which is saved anyway. What a
    callback has ended, as early stopping does, stays at its end.

    Args:
        path: Where the state of a run that was stopped inside an epoch goes; None saves nothing.
        signals: Which notes the signals.
    """

    def __init__(self, path: Path | None, signals: StopSignals) -> None:
        self.path, self.signals = path, signals
        self._seed: int | None = None
        self._gathered: list[MetricStates] = []  # by process; of the epoch that the run was stopped in
        self._logged: MetricStates = {}  # what callbacks had logged then, until they log again
        self._known: dict[str, Any] = {}  # the newest of all metrics, which callbacks look at
        self._accumulated = 1
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
            "known": self._known,
            "accumulated": self._accumulated,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seed, self._gathered = state_dict["seed"], state_dict["gathered"]
        self._num_devices, self._seconds = state_dict["num_devices"], state_dict["seconds"]
        self._known, self._accumulated = state_dict["known"], state_dict["accumulated"]

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[FINISHED] = trainer.should_stop
        own = checkpoint["callbacks"].get(self.state_key)
        if own is not None:  # Lightning has taken the states of callbacks before it called these hooks
            known = dict(trainer._logger_connector._callback_metrics)
            own["known"] = move_data_to_device(known, torch.device("cpu"))
            own["accumulated"] = trainer.accumulate_grad_batches

    @override
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        trainer.should_stop = self._is_own(trainer) and bool(checkpoint.get(FINISHED))

    def _is_own(self, trainer: pl.Trainer) -> bool:
        """Whether the run goes on from its own checkpoint, not from another's."""
        return self.path is not None and trainer.ckpt_path == str(self.path)

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if self.path is not None and any(isinstance(one, ModelPruning) for one in callbacks):
            raise InputError(
                "`ModelPruning` keeps its masks in no checkpoint, so no run could go on from one; leave it"
                " out, or give --trainer.enable_checkpointing=false."
            )

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._seed is None:
            self._seed = torch.initial_seed()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.monotonic()
        for logger in trainer.loggers:
            if isinstance(logger, EpochTable) and not self._is_own(trainer):
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
        known = move_data_to_device(self._known, pl_module.device)
        trainer._logger_connector._callback_metrics.update(known)
        if not self._gathered:
            return
        trainer.accumulate_grad_batches = self._accumulated  # a callback may set it at the start of an epoch
        own = move_data_to_device(self._gathered[trainer.global_rank], pl_module.device)
        for name, metric in _metrics(pl_module).items():
            for key, value in own.pop(name, {}).items():
                setattr(metric, key, value)
        self._gathered, self._logged = [], own

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
        self._add_logged(trainer)
        if self._is_wanted(trainer) and _can_stop_here(trainer, batch_idx + 1):
            place = f"epoch {trainer.current_epoch + 1}, batch {batch_idx + 1}"
            if self.path is not None and not _need_whole_epochs(trainer):
                self._gathered = _from_all(trainer, _states(trainer, pl_module) | self._logged)
                trainer.save_checkpoint(self.path)
                self._stop(trainer, place)
            self._stop(trainer, place, "the start of that epoch")

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._is_wanted(trainer):
            self._stop(trainer, f"epoch {trainer.current_epoch}")

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._is_wanted(trainer):
            self._stop(trainer, "the last epoch")

    def _add_logged(self, trainer: pl.Trainer) -> None:
        """Add what callbacks have logged in an epoch before it was stopped to what they log in it now."""
        for name, metric in _logged(trainer).items():
            for key, value in self._logged.pop(name, {}).items():
                reduced = REDUCTIONS.get(metric.meta.reduce_fx, torch.add)
                setattr(metric, key, reduced(value, getattr(metric, key)))

    def _is_wanted(self, trainer: pl.Trainer) -> bool:
        """Whether any process has received a signal: they stop after the same batch, or not at all."""
        return trainer.strategy.reduce_boolean_decision(self.signals.received is not None, all=False)

    def _stop(self, trainer: pl.Trainer, place: str, next_start: str = "there") -> None:
        number = next(number for number in _from_all(trainer, self.signals.received) if number is not None)
        if trainer.is_global_zero:
            print(
                f"stopped by {number.name} after {place}; the same command goes on from {next_start}",
                file=sys.stderr,
            )
        raise together(trainer, Interrupted(EXIT_CODES[number]))


def _need_whole_epochs(trainer: pl.Trainer) -> bool:
    """Whether a callback does at the start of an epoch what going on inside of it would leave out."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    changing = [one for one in callbacks if not is_free(type(one)) and not isinstance(one, RESTORED)]
    return any(is_overridden("on_train_epoch_start", one, pl.Callback) for one in changing)


def _can_stop_here(trainer: pl.Trainer, num_batches: int) -> bool:
    """Whether nothing is open after so many batches of an epoch: no validation, no gathered gradients."""
    loop = trainer.fit_loop
    is_last = num_batches >= trainer.num_training_batches
    has_stepped = num_batches % trainer.accumulate_grad_batches == 0
    assert loop._data_fetcher is not None
    return not is_last and has_stepped and not loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def _metrics(module: pl.LightningModule) -> dict[str, Metric]:
    return {name: part for name, part in module.named_modules() if isinstance(part, Metric)}


def _logged(trainer: pl.Trainer) -> dict[str, Any]:
    """What is logged as plain numbers and reduced over the epoch, as callbacks do, by hook and name."""
    results = trainer.fit_loop._results
    return {key: one for key, one in results.items() if one.is_tensor and one.meta.on_epoch}


def _states(trainer: pl.Trainer, module: pl.LightningModule) -> MetricStates:
    """What the metrics of an epoch hold so far, on the CPU."""
    metrics = {**_metrics(module), **_logged(trainer)}
    states = {name: dict(metric.metric_state) for name, metric in metrics.items()}
    moved: MetricStates = move_data_to_device(states, torch.device("cpu"))
    return moved


def _from_all(trainer: pl.Trainer, own: T) -> list[T]:
    """What every process has, in the order of their ranks."""
    if trainer.world_size == 1:
        return [own]
    everyones: list[T | None] = [None] * trainer.world_size
    torch.distributed.all_gather_object(everyones, own)
    return cast("list[T]", everyones)
