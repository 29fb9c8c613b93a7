"""What must hold before a run starts: its options fit together, and fit what is in its folder."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lit_delays.data.module import SpikeData
from lit_delays.data.sampler import EpochSampler
from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.time_grid import TimeGrid
from lit_delays.training.callbacks.provenance import KEY
from lit_delays.training.checkpoint_files import read_checkpoint
from lit_delays.training.run_files import lost_checkpoints, mend
from lit_delays.training.run_lock import is_first_process
from lit_delays.training.runs import best_checkpoint, differences, last_checkpoint

NEEDED = {
    "limit_train_batches": "there is nothing to learn from otherwise",
    "limit_val_batches": "the best epoch is the one with the best validation accuracy",
    "limit_test_batches": "a run ends with a test",
    "limit_predict_batches": "there is nothing to answer otherwise",
}


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


def start_of_fit(chosen: str | None, run_dir: Path, options: dict[str, Any]) -> Path | None:
    """Checkpoint that ``fit`` goes on from; it says what in the folder of the run is missing or changed.

    Args:
        chosen: What the user asked for: None, ``last`` or a path.
        run_dir: Folder of the run.
        options: Of the run, as plain values.
    """
    start, lost, saved = checkpoint_for("fit", chosen, run_dir), lost_checkpoints(run_dir), None
    is_own = start in (None, last_checkpoint(run_dir))
    if start and not (is_own and lost):
        saved = check_goes_on(start, options)
        lost = lost_checkpoints(run_dir, saved)
    if is_own and is_first_process():
        for line in mend(run_dir, saved):
            print(f"note: {line}", flush=True)
    return None if is_own and lost else start


def check_goes_on(checkpoint: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Refuse to go on with a run under other options: its schedules and results belong to the first ones.

    Returns:
        The content of the checkpoint.

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
    return saved


def check_trainer(options: dict[str, Any]) -> None:
    """Refuse a run without a planned end, or without what its result is made of.

    Args:
        options: Of the trainer.

    Raises:
        InputError: If it is one.
    """
    epochs, steps = options["max_epochs"], options.get("max_steps", -1)
    if epochs is None or epochs < 1:
        raise InputError(
            f"`--trainer.max_epochs` must be at least 1, got {epochs}: the schedules need an end."
        )
    if steps != -1:
        raise InputError(
            f"`--trainer.max_steps` must be left at -1, got {steps}: learning rates and sigma would stop on"
            " their way. Give fewer --trainer.max_epochs, or --trainer.limit_train_batches."
        )
    for name, reason in NEEDED.items():
        if options.get(name) == 0:
            raise InputError(f"`--trainer.{name}` must be above 0, got 0: {reason}; give 1 for one batch.")
    if (every := options.get("check_val_every_n_epoch")) is not None and every > epochs:
        raise InputError(
            f"`--trainer.check_val_every_n_epoch` must be at most --trainer.max_epochs ({epochs}), got"
            f" {every}: no epoch could be chosen."
        )


def check_limits(trainer: pl.Trainer, data: SpikeData) -> None:
    """Refuse a share of the test set that is less than a batch, which Lightning does when training is over.

    Raises:
        InputError: If it is.
    """
    limit = trainer.limit_test_batches
    total = len(EpochSampler(data.num_test_samples, data.batch_size, world_size=trainer.world_size))
    if part_of(limit, total) == 0:
        raise InputError(
            f"`--trainer.limit_test_batches` must leave one batch of {total} or more, got {limit}: a run ends"
            " with a test; give 1 for one batch."
        )


def part_of(limit: float | None, total: int) -> int:
    """How many of all batches a limit of the trainer leaves.

    Example:
        >>> part_of(3, 10), part_of(0.25, 10), part_of(1.0, 10), part_of(20, 10)
        (3, 2, 10, 10)
    """
    limit = 1.0 if limit is None else limit
    return min(int(limit * total) if isinstance(limit, float) else limit, total)


def check_clip(clip_ms: float | None, network: Network) -> None:
    """Refuse samples that are shorter than the longest delay.

    Raises:
        InputError: If they are.
    """
    grid, longest = TimeGrid(network.config.time_step_ms), network.num_lags - 1
    if clip_ms is not None and grid.steps(clip_ms) < longest:
        raise InputError(
            f"`--data.clip_ms` must be at least the longest delay ({grid.milliseconds(longest):g} ms), or"
            f" nothing comes so late, got {clip_ms:g}; lower `max_delay_ms`, or clip later."
        )
