"""Where a run lives: one folder, named before it starts, the same for the same command."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from lit_delays.errors import InputError

RESULT = "result.json"  # the mark of a finished run, in its folder
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Options that say where or how a run is kept, not what it computes
NOT_PART_OF_A_RUN = ("name", "config", "ckpt_path", "weights_only", "verbose", "return_predictions")

# Options of the data set, the data and the trainer that a run may change on its way
FREE_DATASET = ("data_dir", "train_file", "val_file", "test_file")  # hashes hold the files
FREE_DATA = ("num_workers", "predict_file")
HELD_TRAINER = (
    "max_epochs",
    "min_epochs",
    "max_steps",
    "min_steps",
    "max_time",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "precision",
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "overfit_batches",
    "val_check_interval",
    "check_val_every_n_epoch",
    "sync_batchnorm",
    "use_distributed_sampler",
)  # and the number of devices, as it turns out to be: `ExactResume` holds a run to it
FREE_CALLBACKS = re.compile(
    r"lightning\..*(ProgressBar|Monitor|Summary|Checkpoint)|lit_delays\..*"
)  # look on


def run_folder(config: dict[str, Any]) -> Path:
    """Folder of the run with this configuration: ``trainer.default_root_dir`` / its name.

    Args:
        config: All options as plain values, as in ``config.yaml``.

    Raises:
        InputError: If the name could leave that folder.
    """
    name = config.get("name") or default_name(config)
    if not NAME.fullmatch(name) or name.strip(".") == "":
        raise InputError(f"`--name` must be 1 to 64 letters, digits, '.', '_' or '-', got {name!r}.")
    return Path(config["trainer"].get("default_root_dir") or "runs").resolve() / name


def default_name(config: dict[str, Any]) -> str:
    """Name made of the data set and a hash of all options that the result depends on.

    Example:
        >>> shd = {"class_path": "lit_delays.data.datasets.SHD", "init_args": {"data_dir": "data"}}
        >>> default_name({"data": {"dataset": shd}, "trainer": {}, "seed_everything": 0})
        'shd-41a99ca9'
    """
    chosen = {key: value for key, value in config.items() if key not in NOT_PART_OF_A_RUN}
    chosen["data"] = {key: value for key, value in config["data"].items() if key != "predict_file"}
    chosen["trainer"] = {key: v for key, v in config["trainer"].items() if key != "default_root_dir"}
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()
    return f"{class_name(config['data']['dataset']).lower()}-{digest[:8]}"


def class_name(chosen: Any) -> str:
    """Name of a class that an option has chosen, without its module.

    Example:
        >>> class_name("lit_delays.data.datasets.SHD"), class_name({"class_path": "mine.Digits"})
        ('SHD', 'Digits')
    """
    path = chosen["class_path"] if isinstance(chosen, dict) else chosen
    return str(path).rpartition(".")[2]


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Options that a run must keep, but that differ: their names, and both values.

    Options that one of the two does not know are left out: another version of lit_delays made it.

    Example:
        >>> before, now = ({"trainer": {"max_epochs": epochs, "devices": epochs}} for epochs in (4, 8))
        >>> differences(before, now)
        [('trainer.max_epochs', 4, 8)]
    """
    first, second = _flat(_held(before)), _flat(_held(now))
    return [
        (name, first[name], second[name]) for name in first if name in second and first[name] != second[name]
    ]


def _held(options: dict[str, Any]) -> dict[str, Any]:
    held = {name: value for name, value in options.items() if name not in NOT_PART_OF_A_RUN}
    data, trainer = _flat(options.get("data", {})), options.get("trainer", {})
    free = (*FREE_DATA, *(f"dataset.init_args.{name}" for name in FREE_DATASET))
    held["data"] = {name: value for name, value in data.items() if name not in free}
    held["trainer"] = {name: value for name, value in trainer.items() if name in HELD_TRAINER}
    if "callbacks" in trainer:
        held["trainer"] |= _held_callbacks(trainer["callbacks"])
    return held


def is_free(callback: type) -> bool:
    """Whether a class of callbacks only looks on, or is ours."""
    return bool(FREE_CALLBACKS.fullmatch(f"{callback.__module__}.{callback.__qualname__}"))


def _held_callbacks(callbacks: Any) -> dict[str, Any]:
    """Which callbacks may change the training, and their options.

    Example:
        >>> _held_callbacks([{"class_path": "mine.Noise", "init_args": {"size": 2}}])
        {'callbacks': 'Noise', 'callbacks.Noise': {'size': 2}}
    """
    given = callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
    held: dict[str, Any] = {}
    for callback in given:
        if not FREE_CALLBACKS.fullmatch(callback["class_path"]):
            name = class_name(callback)
            held[f"{name}.{len(held) + 1}" if name in held else name] = callback.get("init_args") or {}
    options = {f"callbacks.{name}": init_args for name, init_args in held.items()}
    return {"callbacks": ", ".join(held) or "none"} | options


def _flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in options.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def best_checkpoint(run_dir: Path) -> Path:
    """Checkpoint of the epoch with the best validation accuracy."""
    return run_dir / "checkpoints" / "best.ckpt"


def last_checkpoint(run_dir: Path) -> Path:
    """Checkpoint of the newest epoch."""
    return run_dir / "checkpoints" / "last.ckpt"
