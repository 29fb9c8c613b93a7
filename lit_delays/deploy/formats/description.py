"""A deployed network in words and numbers: all but its synapses, the same in every format."""

from importlib.metadata import version
from typing import Any, Literal

from lit_delays.components import path_of
from lit_delays.deploy.deploy import whole
from lit_delays.deploy.stream import extra_steps
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import RECURRENT, Network
from lit_delays.snn.synapses import WholeDelays

MODEL_TYPE, FORMAT = "lit_delays", 3

Readout = Literal["li", "lif", "none"]  # what stands for the readout in a graph of NIR


def describe(network: Network) -> dict[str, Any]:
    """Everything but the weights and delays, as plain values; ``layers`` repeats it for other programs."""
    interface = network.interface or Interface(class_names=network.class_names)
    return {
        "model_type": MODEL_TYPE,
        "format": FORMAT,
        "lit_delays": version("lit_delays"),
        "network": network.config.plain,
        "interface": interface.plain,
        "layers": _layers(network),
    }


def _layers(network: Network) -> list[dict[str, Any]]:
    """Per layer: what a simulator must know besides the synapses.

    ``shape`` is that of weights and delays, (neurons, inputs, synapses a pair). ``extra_steps`` is how many
    steps after the end of a clip its neurons still act; later ones are silent. ``recurrent`` is the shape and
    the lags of the synapses of a layer to itself, or null; a delay of 0 there acts in the next step.
    """
    synapses, lasts = whole(network), extra_steps(network)
    return [
        {
            "name": name,
            **_size(synapses[name]),
            "keep_length": synapses[name].keep_length,
            "extra_steps": lasts[name],
            "recurrent": _size(own) if (own := synapses.get(f"{name}{RECURRENT}")) else None,
            "neuron": _neuron(network, index) | {"constants": layer.neuron.constants()},
        }
        for index, (name, layer) in enumerate(network.named_layers().items())
    ]


def _size(synapses: WholeDelays) -> dict[str, Any]:
    return {"shape": list(synapses.weight.shape), "num_lags": synapses.num_lags}


def _neuron(network: Network, index: int) -> dict[str, Any]:
    """Class and arguments of a layer's neurons; those of the readout follow from the last hidden layer's."""
    if index < len(network.layers):
        plain: dict[str, Any] = network.config.of_layer(index, "neuron").plain
        return plain
    if network.config.readout is not None:
        return {**network.config.readout.plain}  # type: ignore[attr-defined]
    return {"class_path": path_of(type(network.readout.neuron))}


def refuse_synaptic_filter(network: Network, form: str) -> None:
    """See that no synaptic filter lies between the layers.

    Raises:
        InputError: If there is one.
    """
    tau_ms = network.config.synapse_tau_ms
    if tau_ms is not None:
        raise InputError(
            f"--format {form} has no place for a synaptic filter, and this network has one (`synapse_tau_ms:"
            f" {tau_ms:g}`); choose --format safetensors or torch."
        )
