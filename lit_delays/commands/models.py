"""A network from wherever it was kept: a run, a checkpoint, or the folder of an export."""

from pathlib import Path
from typing import Literal

import torch

from lit_delays.deployed.network import DeployedSNN, deploy
from lit_delays.training.runs import best_checkpoint

Precision = Literal["float32", "float64"]


def checkpoint_of(model: Path) -> Path:
    """The best checkpoint, if it is the folder of a run; else the path itself."""
    best = best_checkpoint(model)
    return best if best.parent.is_dir() else model


def open_model(path: Path, precision: Precision = "float32") -> DeployedSNN:
    """The deployed network of a run, of a checkpoint, or of what ``export --format safetensors`` wrote.

    Args:
        path: The file or the folder; a run's best checkpoint counts.
        precision: Of weights and biases; folding a checkpoint's norms rounds once, to this.

    Raises:
        InputError: If there is no network of ours.
    """
    path, dtype = checkpoint_of(path), getattr(torch, precision)
    if path.is_dir():
        from lit_delays.deployed.folder import load

        return load(path).to(dtype)
    from lit_delays.training.loading import load_network  # imports Lightning

    trained = load_network(path)
    return deploy(trained.network.to(dtype), trained.class_names, trained.channels_per_bin)
