"""What is kept of a run besides its numbers: all its options, and W&B's copy of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.cli.wandb_server import answers, has_key
from lit_delays.data.module import SpikeData
from lit_delays.stopping import Interrupted


class SaveConfig(SaveConfigCallback):
    """Writes every option of a run to ``config.yaml`` in its folder, and to W&B under the key ``options``.

    Not one key an option: those of a sweep are locked by W&B.
    """

    @override
    @rank_zero_only
    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        folder = Path(trainer.default_root_dir)  # not trainer.log_dir, which waits for the other ranks
        text = self.parser.dump(self.config, skip_unset=False)
        write_atomic(folder / "config.yaml", text)
        data = trainer.datamodule  # type: ignore[attr-defined]
        for logger in trainer.loggers:
            size = global_batch_size(trainer, data)
            logger.log_hyperparams({"options": yaml.safe_load(text), "global_batch_size": size})


class TellPreempted(Callback):
    """Tells W&B that a run was preempted: with a failing exit code it is then given to an agent again."""

    @override
    @rank_zero_only
    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Interrupted) and exception.is_preemption:
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.experiment.mark_preempting()


def global_batch_size(trainer: pl.Trainer, data: SpikeData) -> int:
    """Samples that an optimiser step sees, on all devices together."""
    return data.batch_size * trainer.world_size * trainer.accumulate_grad_batches


def place_wandb(loggers: Any, run_dir: Path) -> None:
    """Keep W&B's files in the run's folder, and W&B offline where there is no key or no network."""
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        if str(getattr(logger, "class_path", "")).endswith("WandbLogger"):
            run_dir.mkdir(parents=True, exist_ok=True)
            logger.init_args.save_dir = str(run_dir)
            logger.init_args.name = logger.init_args.name or run_dir.name
            if "WANDB_MODE" not in os.environ and not (has_key() and answers()):
                os.environ["WANDB_MODE"] = "offline"


def agent_loggers(others: Sequence[Logger], run_dir: Path) -> list[Logger]:
    """A run that W&B's agent started answers to it, whether its config names a logger or not."""
    if "WANDB_SWEEP_ID" not in os.environ or any(isinstance(logger, WandbLogger) for logger in others):
        return []
    run_dir.mkdir(parents=True, exist_ok=True)
    return [WandbLogger(name=run_dir.name, save_dir=run_dir)]
