"""A deployed network as tables of connections: one row a synapse, for simulators that take lists of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.deployed.description import describe
from lit_delays.deployed.network import DeployedLayer, DeployedSNN
from lit_delays.deployed.place import new_place
from lit_delays.errors import InputError


def tables(network: DeployedSNN) -> dict[str, NDArray[Any]]:
    """Arrays by name, of every layer: ``hidden1/pre``, ``/post``, ``/weight``, ``/delay`` and ``/bias``.

    A delay of 0 acts in the time step of the spike itself. ``about`` is JSON, as ``config.json`` of the
    folder format: the network, its classes, and per layer the constants of its neurons.

    Raises:
        InputError: If the neurons are not leaky integrate-and-fire, or a synaptic filter lies between them.
    """
    require_lif(network, "connections")
    arrays: dict[str, NDArray[Any]] = {"about": np.array(json.dumps(describe(network)))}
    for name, layer in network.named_layers().items():
        arrays |= {f"{name}/{column}": values for column, values in _table(layer).items()}
    return arrays


def _table(layer: DeployedLayer) -> dict[str, NDArray[Any]]:
    weight, delay = layer.weight.cpu().numpy(), layer.delay.cpu().numpy()
    post, pre, synapse = np.nonzero(weight)
    return {
        "pre": pre.astype(np.int32),
        "post": post.astype(np.int32),
        "weight": weight[post, pre, synapse],
        "delay": delay[post, pre, synapse],
        "bias": layer.bias.cpu().numpy(),
    }


def save(network: DeployedSNN, path: Path) -> None:
    """Write the tables as one ``.npz``; NumPy reads it without running code.

    Raises:
        InputError: If the network does not fit, or the file exists or cannot be written.
    """
    arrays = tables(network)
    with new_place(path) as place, place.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def require_lif(network: DeployedSNN, target: str) -> None:
    """See that a format of leaky integrate-and-fire neurons can hold the network.

    Raises:
        InputError: If not.
    """
    config = network.config
    if config.neuron not in ("lif", "plif"):
        got = f"`neuron: {config.neuron}`"
    elif config.synapse_tau_ms is not None:
        got = f"`synapse_tau_ms: {config.synapse_tau_ms:g}`"
    else:
        return
    raise InputError(
        f"--format {target} holds leaky integrate-and-fire neurons without synaptic filters, and this network"
        f" has {got}; choose --format safetensors or torch."
    )
