"""A network from wherever it was kept: a run, a checkpoint, or the folder of an export."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from lit_delays.deploy.deploy import deploy
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import Network
from lit_delays.training.runs import best_checkpoint

Precision = Literal["float32", "float64"]


def checkpoint_of(model: Path) -> Path:
    """The best checkpoint, if it is the folder of a run; else the path itself."""
    best = best_checkpoint(model)
    return best if best.parent.is_dir() else model


def load(path: str | Path, precision: Precision = "float32") -> Network:
    """The deployed network of a run, of a checkpoint, or of what ``export --format safetensors`` wrote.

    Args:
        path: The file or the folder; a run's best checkpoint counts.
        precision: Of weights and biases; folding a checkpoint's norms rounds once, to this.

    Returns:
        The network, in evaluation; its interface is set.

    Raises:
        InputError: If there is no network of ours, or it has parts that may not be imported.
    """
    path, dtype = checkpoint_of(Path(path)), getattr(torch, precision)
    network = _load_folder(path).to(dtype) if path.is_dir() else deploy(_load_checkpoint(path).to(dtype))
    network.interface = network.interface or Interface(class_names=network.class_names)
    return network


def _load_folder(path: Path) -> Network:
    if find_spec("safetensors") is None:
        raise InputError(f"{path} needs a package to be read: pip install safetensors.")
    from lit_delays.deploy.formats import safetensors_folder

    return safetensors_folder.load(path)


def _load_checkpoint(path: Path) -> Network:
    from lit_delays.training.loading import load_network  # imports Lightning

    return load_network(path).network
