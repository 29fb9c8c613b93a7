"""A network from wherever it was kept: a checkpoint, or the folder of an export."""

from pathlib import Path
from typing import Literal

import torch

from lit_delays.deployed.network import DeployedSNN, deploy

Precision = Literal["float32", "float64"]


def open_model(path: Path, precision: Precision = "float32") -> DeployedSNN:
    """The deployed network of a checkpoint, or of a folder that ``export --format safetensors`` wrote.

    Args:
        path: The checkpoint or the folder.
        precision: Of weights and biases; folding a checkpoint's norms rounds once, to this.

    Raises:
        InputError: If there is no network of ours.
    """
    dtype = getattr(torch, precision)
    if path.is_dir():
        from lit_delays.deployed.folder import load

        return load(path).to(dtype)
    from lit_delays.training.loading import load_network  # imports Lightning

    trained = load_network(path)
    return deploy(trained.network.to(dtype), trained.class_names, trained.channels_per_bin)
