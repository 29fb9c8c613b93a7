"""The two checkpoints of a run, and how they reach the disk."""

import io
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.training.epoch_table import EpochTable


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there in one step.

    Lightning writes it into the system's temporary folder, from where it is copied if that is another disk:
    a run killed meanwhile would be left with half a checkpoint.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getvalue())


class RunCheckpoint(ModelCheckpoint):
    """One file in the folder of a run, which may be moved or copied between two starts.

    Args:
        path: The file.
        kwargs: Of Lightning's callback.
    """

    def __init__(self, path: Path, **kwargs: Any) -> None:
        super().__init__(path.parent, path.stem, enable_version_counter=False, **kwargs)
        self.path = path

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if not self.path.exists():
            return  # the state of another run, which this one starts from: its scores are not ours
        assert self.dirpath is not None
        folder = str(self.dirpath)

        def here(path: str) -> str:
            return path and os.path.join(folder, os.path.basename(path))

        paths = {name: here(path) for name, path in state_dict.items() if name.endswith("_path")}
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": folder})
        self.current_score = state_dict["current_score"]  # Lightning forgets it


class LastCheckpoint(RunCheckpoint):
    """The state after the newest epoch, written when that epoch's row is in the table.

    Lightning logs an epoch after it has saved it: killed in between, a run would go on without the row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, save_on_train_epoch_end=True)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch, row = trainer.current_epoch, trainer.fit_loop._results.metrics(on_step=False)["log"]
        for logger in trainer.loggers:
            if isinstance(logger, EpochTable):
                logger.log_metrics({name: float(value) for name, value in row.items()} | {"epoch": epoch})
                logger.save()
        super().on_train_epoch_end(trainer, pl_module)
