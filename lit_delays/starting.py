"""What must hold before a run starts: its options fit together, and fit what is in its folder."""

from pathlib import Path
from typing import Any

from lit_delays.errors import InputError
from lit_delays.provenance import KEY
from lit_delays.training.reading import read_checkpoint
from lit_delays.training.runs import best_checkpoint, differences, last_checkpoint


def checkpoint_for(command: str, chosen: str | None, run_dir: Path) -> Path | None:
    """Checkpoint to start from: this run's last for ``fit``, its best for the others.

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        chosen: What the user asked for: None, ``best``, ``last`` or a path.
        run_dir: Folder of the run.

    Raises:
        InputError: If there is none, where one is needed.
    """
    if command == "fit" and chosen in (None, "last"):
        last = last_checkpoint(run_dir)
        return last if last.exists() else None
    paths = {None: best_checkpoint, "best": best_checkpoint, "last": last_checkpoint}
    path = paths[chosen](run_dir) if chosen in paths else Path(str(chosen))
    read_checkpoint(path, "train with `fit` and the same options, or give --ckpt_path")
    return path


def check_goes_on(checkpoint: Path, options: dict[str, Any]) -> None:
    """Refuse to go on with a run under other options: its schedules and results belong to the first ones.

    Raises:
        InputError: If an option that the result depends on is another one, or the file cannot be read.
    """
    saved = read_checkpoint(checkpoint, "delete it to begin anew, or give another --name")
    before = saved.get(KEY, {}).get("options", options)
    for name, was, wanted in differences(before, options):
        raise InputError(
            f"this run began with `--{name}={was}`, got {wanted}: its schedules and results belong to that."
            f" Repeat the command with {was} to go on, or give another --name to start anew."
        )


def check_epochs(max_epochs: int | None) -> None:
    """Refuse a run without an end."""
    if max_epochs is None or max_epochs < 1:
        raise InputError(
            f"`--trainer.max_epochs` must be at least 1, got {max_epochs}: the schedules need an end."
        )


def check_clip(options: dict[str, Any]) -> None:
    """Refuse samples that are shorter than the longest delay."""
    clip_ms, max_delay_ms = options["data"]["clip_ms"], options["model"]["network"]["max_delay_ms"]
    if clip_ms is not None and options["model"]["network"]["delays"] != "none" and clip_ms < max_delay_ms:
        raise InputError(
            f"`--data.clip_ms` must be at least `--model.network.max_delay_ms` ({max_delay_ms:g} ms), or the"
            f" longest delays hear nothing, got {clip_ms:g}."
        )
