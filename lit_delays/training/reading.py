"""Checkpoints as they come from the disk: tensors and plain values, never code."""

from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from lit_delays.errors import InputError

PREFIX = "network."  # of the network's tensors in the checkpoint of a classifier


def read_checkpoint(path: Path, otherwise: str = "give one of a run that has trained") -> dict[str, Any]:
    """Read a checkpoint that ``fit`` has written; nothing in the file can run.

    Args:
        path: Of the file.
        otherwise: The way out, for the error's message.

    Raises:
        InputError: If it is missing or damaged, or holds anything but tensors and plain values.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}; {otherwise}.")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:  # it may be whole
        raise InputError(f"cannot read {path}: {error.strerror or error}; repeat the command.") from error
    except Exception as error:  # whatever a foreign file makes of the reader
        raise InputError(
            f"{path} must be a whole checkpoint of tensors and plain values; it is damaged, or holds code"
            f" that would run when it is loaded ({type(error).__name__}); {otherwise}."
        ) from error
    if not _has_tensors_and_epoch(content):
        raise InputError(f"{path} must be a checkpoint that `fit` wrote; {otherwise}.")
    return content


def _has_tensors_and_epoch(content: Any) -> TypeGuard[dict[str, Any]]:
    if not isinstance(content, dict) or "epoch" not in content:
        return False
    tensors = content.get("state_dict")
    return isinstance(tensors, dict) and all(isinstance(value, Tensor) for value in tensors.values())


def network_tensors(saved: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors of the network in a classifier's checkpoint, by the network's own names."""
    tensors = saved["state_dict"].items()
    return {name.removeprefix(PREFIX): value for name, value in tensors if name.startswith(PREFIX)}
