"""The files of a run: what is missing, cut or edited when its command is repeated is named, and made again.

The texts that grow with every epoch are in every checkpoint. A finished run keeps the SHA-256 of all its
files, in the form that ``sha256sum --check`` reads. A lost checkpoint is made by training from the start.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from lightning.pytorch import Callback
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.training.callbacks.provenance import KEY as PROVENANCE
from lit_delays.training.runs import RESULT, best_checkpoint, differences, last_checkpoint

SUMS = "SHA256SUMS"
KEY = "texts"  # in a checkpoint
TEXTS = ("metrics.csv", "delays.csv", "warnings.txt")
SETTINGS = ("config.yaml", "provenance.json")
FILES = (*TEXTS, *SETTINGS, RESULT)
LINE = re.compile(r"([0-9a-f]{64})  ((?:checkpoints/)?\w+\.\w+)")
CHECKPOINTS = ("checkpoints/best.ckpt", "checkpoints/last.ckpt")


class KeepTexts(Callback):
    """Keeps the texts that a run writes, as far as they are, in every checkpoint."""

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        paths = [Path(trainer.default_root_dir, name) for name in TEXTS]
        checkpoint[KEY] = {path.name: path.read_bytes().decode() for path in paths if path.exists()}


def lost_checkpoints(run_dir: Path, saved: dict[str, Any] | None = None) -> list[str]:
    """Checkpoints without which a run cannot go on, and what happened to them.

    Args:
        run_dir: Folder of the run.
        saved: Its last checkpoint, if that is read already.
    """
    lost = [f"{name} {what}" for name, what in _changes(run_dir) if name in CHECKPOINTS]
    best, last = best_checkpoint(run_dir), last_checkpoint(run_dir)
    if not lost and best.exists() and not last.exists():
        return [f"{CHECKPOINTS[1]} is missing"]
    if not lost and saved and _has_best(saved) and not best.exists():
        return [f"{CHECKPOINTS[0]} is missing"]
    return lost


def mend(run_dir: Path, saved: dict[str, Any] | None) -> Iterator[str]:
    """Bring the folder of a run to where its last checkpoint is; to its start, if a checkpoint is lost.

    Args:
        run_dir: The folder.
        saved: Its last checkpoint; None if there is none.

    Yields:
        What is missing or was changed, and what becomes of it, a line each.
    """
    lost, found = lost_checkpoints(run_dir, saved), dict(_changes(run_dir))
    if saved and not lost:
        found |= dict(_compare_settings(run_dir, saved.get(PROVENANCE, {})))
        found |= dict(_restore(run_dir, saved.get(KEY, {})))
    yield from (f"{name} {what}; it is made again" for name, what in found.items() if name not in CHECKPOINTS)
    if lost:
        yield f"{' and '.join(lost)}; the run is made again from its start"
        for path in (last_checkpoint(run_dir), best_checkpoint(run_dir), run_dir / RESULT):
            path.unlink(missing_ok=True)
    (run_dir / SUMS).unlink(missing_ok=True)  # until all is there again


def write_sums(run_dir: Path, figures: list[Path]) -> None:
    """Keep the SHA-256 of everything that a finished run consists of."""
    names = [*FILES, *CHECKPOINTS, *(path.name for path in figures)]
    lines = [f"{_sha256(run_dir / name)}  {name}\n" for name in names if (run_dir / name).exists()]
    write_atomic(run_dir / SUMS, "".join(lines))


def _changes(run_dir: Path) -> Iterator[tuple[str, str]]:
    """What of a finished run is not as it was: names, and what happened."""
    path = run_dir / SUMS
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        if not (kept := LINE.fullmatch(line)):
            yield SUMS, "was changed"
        elif not (run_dir / (name := kept[2])).is_file():
            yield name, "is missing"
        elif _sha256(run_dir / name) != kept[1]:
            yield name, "was changed"


def _restore(run_dir: Path, texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give the texts of a run the content that its last checkpoint has: names, and what happened to them."""
    for name, text in texts.items():
        path = run_dir / name
        now = path.read_bytes() if path.exists() else None
        if now == text.encode():
            continue
        write_atomic(path, text)
        if now is None or not now.startswith(text.encode()):  # else it is of the epoch that is made again
            yield name, "is missing" if now is None else "was changed"


def _compare_settings(run_dir: Path, record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What beside the checkpoint is not what it was trained with: names, and what happened to them."""
    wanted = record.get("options", {})
    for name in SETTINGS:
        read: Callable[[str], Any] = json.loads if name.endswith(".json") else yaml.safe_load
        try:
            content = read((run_dir / name).read_text())
            options = content.get("options", content)
            if not _has_all(options, wanted) or differences(wanted, options):
                yield name, "was changed"
        except FileNotFoundError:
            yield name, "is missing"
        except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError):
            yield name, "was changed"


def _has_all(found: Any, wanted: Any) -> bool:
    """Whether no name of an option is missing."""
    if not isinstance(wanted, dict):
        return True
    return all(name in found and _has_all(found[name], value) for name, value in wanted.items())


def _has_best(saved: dict[str, Any]) -> bool:
    states = [state for state in saved.get("callbacks", {}).values() if isinstance(state, dict)]
    return any(Path(state.get("best_model_path", "")).name == "best.ckpt" for state in states)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
