"""The two checkpoints of a run, and how they reach the disk."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.errors import InputError
from lit_delays.training.epoch_table import EpochTable


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there in one step.

    Lightning writes it into the system's temporary folder, from where it is copied if that is another disk:
    a run killed meanwhile would be left with half a checkpoint. The names of checkpoints may be filled with
    numbers, so their place is known here alone.

    Args:
        folder: That checkpoints must stay in; None for anywhere.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder = folder

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self._check_place(path)
        content = _serialised(checkpoint)
        if content is None:
            states = checkpoint.get("callbacks", {})
            whose = next((name for name, state in states.items() if _serialised(state) is None), "a callback")
            raise InputError(
                f"the state of {whose} must be tensors and plain values, or no run could go on from its"
                " checkpoint; convert NumPy's numbers and objects of your own in its `state_dict`."
            )
        write_atomic(Path(path), content.getvalue())

    @override
    def remove_checkpoint(self, path: Any) -> None:
        self._check_place(path)
        super().remove_checkpoint(path)

    def _check_place(self, path: Any) -> None:
        if self.folder is not None and not Path(path).resolve().is_relative_to(self.folder.resolve()):
            raise InputError(
                f"a checkpoint must stay in the run's folder {self.folder}, got {path}; change `filename`."
            )


def _serialised(state: Any) -> io.BytesIO | None:
    """The state as it goes to the disk; None if it could not be read from there without running code."""
    content = io.BytesIO()
    try:
        torch.save(state, content)
        content.seek(0)
        torch.load(content, weights_only=True, map_location="meta")  # no number is read
    except (pickle.UnpicklingError, pickle.PicklingError, AttributeError, TypeError):
        return None
    return content


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

    Lightning logs an epoch after it has saved it: killed in between, a run would go on without the row. Where
    a callback adds epochs, as averaging weights does, the one before them is not kept: nothing goes on there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, save_on_train_epoch_end=True)
        self._planned = 0  # epochs

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        self._planned = trainer.max_epochs or 0

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch, row = trainer.current_epoch, trainer.fit_loop._results.metrics(on_step=False)["log"]
        for logger in trainer.loggers:
            if isinstance(logger, EpochTable):
                logger.log_metrics({name: float(value) for name, value in row.items()} | {"epoch": epoch})
                logger.save()
        if not self._planned <= epoch + 1 < (trainer.max_epochs or 0):
            super().on_train_epoch_end(trainer, pl_module)
