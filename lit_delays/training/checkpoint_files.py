"""Checkpoints as they come from the disk: tensors and plain values, never code."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from lit_delays.errors import InputError
from lit_delays.security.stored_bytes import refuse_holes
from lit_delays.snn.synapses import Synapses

PREFIX = "network."  # of the network's tensors in the checkpoint of a classifier
MOST_EPOCHS = 2**31
MOST_TAPS = 2**28  # of the dense kernel of a layer, which is made whenever it acts: 1 GiB
FIELDS: dict[str, Any] = {  # of a checkpoint of Lightning's, where they are there
    "global_step": int,
    "pytorch-lightning_version": str,
    "hparams_name": str | None,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
}


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
    refuse_holes(path)
    try:
        _require_its_size(path)
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


def _require_its_size(path: Path) -> None:
    """See that an archive holds no more than its own bytes, as torch writes it: zeros pack 1000:1."""
    with path.open("rb") as file:
        is_archive = file.read(4) == b"PK\x03\x04"  # as torch decides it
    if is_archive:
        with zipfile.ZipFile(path) as archive:
            held = sum(part.file_size for part in archive.infolist())
        if held > path.stat().st_size:
            raise zipfile.BadZipFile(f"{held:,} bytes are packed")


def _has_tensors_and_epoch(content: Any) -> TypeGuard[dict[str, Any]]:
    epoch = content.get("epoch") if isinstance(content, dict) else None
    if type(epoch) is not int or not 0 <= epoch < MOST_EPOCHS:
        return False
    tensors = content.get("state_dict")
    return (
        isinstance(tensors, dict)
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in tensors.items())
        and all(isinstance(content[name], kind) for name, kind in FIELDS.items() if name in content)
        and all(_is_whole(tensor) for tensor in _all_tensors(content))
    )


def _is_whole(tensor: Tensor) -> bool:
    """Whether every number of a tensor is in the file: one number can pass for thousands."""
    is_plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return is_plain and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _all_tensors(value: Any) -> Iterator[Tensor]:
    left, seen = [value], set()
    while left:
        value = left.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping | Sequence) and not isinstance(value, str) and id(value) not in seen:
            seen.add(id(value))  # a list may hold itself
            left += value.values() if isinstance(value, Mapping) else value


def require_room(name: str, synapses: Synapses) -> None:
    """Refuse synapses from a file whose dense kernel would take more than a layer may.

    Raises:
        InputError: If it would.
    """
    num_taps = synapses.num_lags * synapses.num_inputs * synapses.num_outputs
    if num_taps > MOST_TAPS:
        raise InputError(
            f"{name} must have at most {MOST_TAPS:,} pairs of neurons times lags, got {num_taps:,}; it is not"
            " from a network that was trained here."
        )


def require_numbers(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of a network that are not all real numbers.

    Raises:
        InputError: If one is not.
    """
    for name, tensor in tensors.items():
        if tensor.is_complex() or not tensor.isfinite().all():
            raise InputError(
                f"`{name}` must be all numbers; the training diverged: take one of an earlier epoch."
            )


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
