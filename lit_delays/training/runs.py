"""Where a run lives: one folder, named before it starts, the same for the same command."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from lit_delays.errors import InputError

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Options that say where or how a run is kept, not what it computes
NOT_PART_OF_A_RUN = ("name", "config", "ckpt_path", "weights_only", "verbose", "return_predictions")


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
        >>> default_name({"data": {"dataset": "shd"}, "trainer": {}, "seed_everything": 0})
        'shd-9925d906'
    """
    chosen = {key: value for key, value in config.items() if key not in NOT_PART_OF_A_RUN}
    chosen["data"] = {key: value for key, value in config["data"].items() if key != "predict_file"}
    chosen["trainer"] = {key: v for key, v in config["trainer"].items() if key != "default_root_dir"}
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()
    return f"{config['data']['dataset']}-{digest[:8]}"


def best_checkpoint(run_dir: Path) -> Path:
    """Checkpoint of the epoch with the best validation accuracy."""
    return run_dir / "checkpoints" / "best.ckpt"


def last_checkpoint(run_dir: Path) -> Path:
    """Checkpoint of the newest epoch."""
    return run_dir / "checkpoints" / "last.ckpt"
