"""Where a result came from: versions, commit, options, data; in every checkpoint and in the run's folder."""

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_warn
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.data.module import SpikeData
from lit_delays.errors import InputError

FILE_NAME = "provenance.json"
KEY = "provenance"  # in a checkpoint
FINISHED = "finished"  # in a checkpoint: whether training has ended with it, before its last epoch
PACKAGES = ("lit_delays", "torch", "lightning", "torchmetrics", "numpy", "h5py")


class Provenance(Callback):
    """Records where a run comes from, and holds it to its data when it goes on.

    Args:
        options: All options of the run, as plain values.

    Raises:
        InputError: If a run would go on with other data than it began with.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.record: dict[str, Any] = {"versions": versions(), "git": git_state(), "options": options}

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, SpikeData):
            self.record["data"] = data.hashes()

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY] = self.record

    @override
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        before = checkpoint.get(KEY, self.record)
        for split, digest in before.get("data", {}).items():
            if self.record.get("data", {}).get(split) != digest:
                raise InputError(
                    f"the {split} file is not the one that this run began with: its SHA-256 was"
                    f" {digest[:12]}...; put it back, or give another --name to start anew."
                )
        if changed := [name for name in ("versions", "git") if before[name] != self.record[name]]:
            rank_zero_warn(
                f"this run began with other {' and '.join(changed)} ({_in_short(before)}) than now"
                f" ({_in_short(self.record)}); its result may differ from that of an uninterrupted run."
            )
        if _is_done(trainer, checkpoint):  # nothing is trained any more
            self.record = before

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            write_atomic(Path(trainer.default_root_dir, FILE_NAME), json.dumps(self.record, indent=2) + "\n")


def _is_done(trainer: pl.Trainer, checkpoint: dict[str, Any]) -> bool:
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress")
    has_all_epochs = progress and progress["current"]["processed"] >= (trainer.max_epochs or 0)
    return bool(checkpoint.get(FINISHED) or has_all_epochs)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from its folder, not installed
            found[name] = "unknown"
    return found


def git_state(folder: Path = Path(__file__).parents[3]) -> dict[str, Any] | None:
    """Commit of the checkout that holds this package, and whether files differ from it; None elsewhere."""
    if not (folder / ".git").exists():
        return None
    try:
        return {
            "commit": _git(folder, "rev-parse", "HEAD"),
            "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):  # no git here, or a checkout of somebody else
        return None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=10).stdout.strip()


def _in_short(record: dict[str, Any]) -> str:
    words = [f"{name} {version}" for name, version in record["versions"].items()]
    if record["git"]:
        words.append(record["git"]["commit"][:9] + ("+changes" if record["git"]["dirty"] else ""))
    return ", ".join(words)
