"""Checkpoints as they come from the disk: tensors and plain values, never code."""

from collections.abc import Mapping
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
        InputError: If it is missing, damaged or of an older version, or holds anything but tensors and plain
            values.
    """
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}; {otherwise}.")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except OSError as error:  # it may be whole
        raise InputError(f"cannot read {path}: {error.strerror or error}; repeat the command.") from error
    except Exception as error:  # torch's reader raises anything at a damaged file, and nothing else runs here
        raise InputError(
            f"{path} must be a whole checkpoint of tensors and plain values; it is damaged, or holds code"
            f" that would run when it is loaded ({type(error).__name__}); {otherwise}."
        ) from error
    if not _has_tensors_and_epoch(content):
        raise InputError(f"{path} must be a checkpoint that `fit` wrote; {otherwise}.")
    if "hidden_size" in network_options(content):
        raise InputError(f"{path} is of an older version of lit_delays; train again, or use that version.")
    return content


def _has_tensors_and_epoch(content: Any) -> TypeGuard[dict[str, Any]]:
    if not isinstance(content, dict) or not isinstance(content.get("epoch"), int):
        return False
    tensors = content.get("state_dict")
    return isinstance(tensors, dict) and all(isinstance(value, Tensor) for value in tensors.values())


def network_options(saved: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of the network in a classifier's checkpoint, as plain values; empty where there are none."""
    options: Any = saved.get("hyper_parameters")
    network = options.get("network") if isinstance(options, Mapping) else None
    return network if isinstance(network, Mapping) else {}


def network_tensors(saved: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors of the network in a classifier's checkpoint, by the network's own names."""
    tensors = saved["state_dict"].items()
    return {name.removeprefix(PREFIX): value for name, value in tensors if name.startswith(PREFIX)}


def first_misfit(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> str | None:
    """The first tensor of a checkpoint that does not fit a network, in words.

    Args:
        here: Tensors of the network.
        there: Tensors of the checkpoint.

    Example:
        >>> first_misfit({"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(1, 3)})
        'the shape of `b` is (1, 3) there and none here'
    """
    for name in {**here, **there}:
        shapes = [str(tuple(state[name].shape)) if name in state else "none" for state in (there, here)]
        if shapes[0] != shapes[1]:
            return f"the shape of `{name}` is {shapes[0]} there and {shapes[1]} here"
    return None
