"""From a checkpoint back to the network in it."""

from pathlib import Path
from typing import NamedTuple

from lit_delays.errors import InputError
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.training.classifier import INTERFACE, DelayClassifier
from lit_delays.training.reading import network_tensors, read_checkpoint


class Trained(NamedTuple):
    """A network as a checkpoint has it.

    Attributes:
        network: In evaluation: the one that ships.
        epoch: Epochs that it was trained for.
        class_names: Names by label; empty where the checkpoint does not know them.
        channels_per_bin: Neighbouring channels of the data that one input merges; 1 where it is not known.
    """

    network: DelaySNN
    epoch: int
    class_names: tuple[str, ...] = ()
    channels_per_bin: int = 1


def load_network(checkpoint: Path) -> Trained:
    """Read the network of a checkpoint that ``fit`` has written; nothing in the file can run code.

    Raises:
        InputError: If there is no such file, or no network of ours is in it.
    """
    saved = read_checkpoint(checkpoint, "give one, or the folder of a run that has trained")
    try:
        config = saved["hyper_parameters"]["network"]
        network = DelaySNN(config if isinstance(config, NetworkConfig) else NetworkConfig(**config))
        network.load_state_dict(network_tensors(saved))
        interface = saved.get(INTERFACE, {})
        names, merged = interface.get("class_names", ()), interface.get("channels_per_bin", 1)
        return Trained(network.eval(), saved["epoch"] + 1, tuple(names), int(merged))
    except Exception as error:  # whatever a foreign file holds instead
        raise InputError(
            f"{checkpoint} is no checkpoint of lit_delays ({type(error).__name__}); give one that `fit` has"
            f" written for a {DelayClassifier.__name__}, such as runs/NAME/checkpoints/best.ckpt."
        ) from error
