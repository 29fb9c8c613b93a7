"""A deployed network as tables of connections: one row a synapse, for simulators that take lists of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.deploy.deploy import deploy, whole
from lit_delays.deploy.formats.description import describe, refuse_synaptic_filter
from lit_delays.deploy.output_path import new_output
from lit_delays.snn.network import RECURRENT, Network
from lit_delays.snn.synapses import WholeDelays

Table = dict[str, NDArray[Any]]


def tables(network: Network) -> Table:
    """Arrays by name, of every layer: ``hidden1/pre``, ``/post``, ``/weight``, ``/delay`` and ``/bias``.

    A delay of 0 acts in the time step of the spike itself. Those of ``hidden1_recurrent/pre``.. count the
    step that recurrence takes, so they are 1 or more; there is no bias. ``about`` is JSON, as
    ``config.json`` of the safetensors folder: the network, its interface, and per layer the class and the
    constants of its neurons.

    Raises:
        InputError: If a synaptic filter lies between the layers.
    """
    refuse_synaptic_filter(network, "connections")
    network = deploy(network).cpu()
    arrays: Table = {"about": np.array(json.dumps(describe(network)))}
    for name, synapses in whole(network).items():
        columns = _table(synapses)
        if name.endswith(RECURRENT):
            columns["delay"] = columns["delay"] + 1
            del columns["bias"]
        arrays |= {f"{name}/{column}": values for column, values in columns.items()}
    return arrays


def _table(synapses: WholeDelays) -> Table:
    weight, delay = synapses.weight.numpy(), synapses.delay.numpy()
    post, pre, synapse = np.nonzero(weight)
    return {
        "pre": pre.astype(np.int32),
        "post": post.astype(np.int32),
        "weight": weight[post, pre, synapse],
        "delay": delay[post, pre, synapse],
        "bias": synapses.bias.numpy(),
    }


def save(network: Network, path: Path) -> None:
    """Write the tables as one ``.npz``; NumPy reads it without running code.

    Raises:
        InputError: If the network does not fit, or the file exists or cannot be written.
    """
    arrays = tables(network)
    with new_output(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
