"""From a checkpoint back to the network in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lit_delays.components import is_ours
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import PARTS, NetworkConfig
from lit_delays.training.checkpoint_files import (
    first_misfit,
    network_options,
    network_tensors,
    read_checkpoint,
    require_numbers,
    require_room,
)
from lit_delays.training.classifier import INTERFACE


class Trained(NamedTuple):
    """A network as a checkpoint has it.

    Attributes:
        network: In evaluation: the one that ships; in double precision if it was trained so, else in single.
            It has an interface, unless it was trained without a data module.
        epoch: Epochs that it was trained for.
    """

    network: Network
    epoch: int


def load_network(checkpoint: Path) -> Trained:
    """Read the network of a checkpoint that ``fit`` has written; nothing in the file can run code.

    Raises:
        InputError: If there is no such file, or no network of ours is in it.
    """
    saved = read_checkpoint(checkpoint, "give one, or the folder of a run that has trained")
    options, tensors = network_options(saved), network_tensors(saved)
    if not options or not tensors:
        raise InputError(
            f"{checkpoint} is no checkpoint of lit_delays; give one that `fit` has written, such as"
            " runs/NAME/checkpoints/best.ckpt."
        )
    try:
        interface = Interface.of(saved[INTERFACE]) if INTERFACE in saved else None
        config = NetworkConfig.of(options)
        sketch = _sketch(config, tensors)
        if misfit := first_misfit(sketch.state_dict(), tensors):
            raise InputError(f"does not fit its own options: {misfit}; give another one.")
        for name, synapses in sketch.named_synapses().items():
            require_room(name, synapses)
        require_numbers(tensors)
        network = Network(config, interface)
    except InputError as error:
        raise InputError(f"{checkpoint}: {error}") from error
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # options of other types or sizes
        raise InputError(f"{checkpoint}: its options make no network ({error}); give another one.") from error
    trained_in = next(
        (tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()), torch.float32
    )
    network.to(torch.promote_types(trained_in, torch.float32)).load_state_dict(tensors)
    return Trained(network.eval(), saved["epoch"] + 1)


def _sketch(config: NetworkConfig, tensors: Mapping[str, Tensor]) -> Network:
    """The network without memory for its numbers: sizes are believed once the tensors have been seen."""
    num_layers = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    if num_layers != len(config.hidden_sizes):
        raise InputError(
            f"`hidden_sizes` must be those of its {num_layers} hidden layers, got {len(config.hidden_sizes)}."
        )
    factories = [config.of_layer(at, kind) for at in range(num_layers) for kind in PARTS]
    if not all(is_ours(factory.cls) for factory in factories if factory is not None):
        return Network(config)  # allowed by the user; they may look at their numbers while they are made
    with torch.device("meta"):
        return Network(config)
