"""Checkpoints as networks: what a command needs that trains no more."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_delays.errors import InputError
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.training.classifier import INTERFACE

# what torch.load and a network say to what is not theirs
DAMAGE = (UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, ValueError)
PREFIX = "network."  # of the network's tensors in a DelayClassifier


class Trained(NamedTuple):
    """A network from a checkpoint.

    Attributes:
        network: In evaluation mode, on the CPU.
        class_names: Names by label; empty where the checkpoint does not know them.
        channels_per_bin: Neighbouring channels of the data that one input merges; 1 where it is not known.
    """

    network: DelaySNN
    class_names: tuple[str, ...]
    channels_per_bin: int


def load_checkpoint(path: str | Path) -> Trained:
    """Read the network of a run's ``checkpoints/best.ckpt`` or ``last.ckpt``; no code in it is run.

    Args:
        path: The checkpoint.

    Raises:
        InputError: If it is not a checkpoint of lit_delays.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}; give checkpoints/best.ckpt of a run's folder.")
    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        network = DelaySNN(_network_config(saved["hyper_parameters"]["network"]))
        network.load_state_dict(_tensors(saved["state_dict"]))
    except DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"{path} must be a whole checkpoint of lit_delays; what is wrong: {reason}"
        raise InputError(message) from error
    interface = saved.get(INTERFACE, {})
    names = tuple(interface.get("class_names", ()))
    return Trained(network.eval(), names, int(interface.get("channels_per_bin", 1)))


def _network_config(saved: Any) -> NetworkConfig:
    """Made by the command line it is a dict, made in Python a NetworkConfig."""
    if isinstance(saved, NetworkConfig):
        return saved
    return NetworkConfig(**saved)


def _tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
