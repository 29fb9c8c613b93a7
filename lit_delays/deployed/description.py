"""A deployed network in words and numbers: all but its synapses, the same in every format."""

import math
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from lit_delays.deployed.network import DeployedSNN

MODEL_TYPE, FORMAT = "lit_delays", 1


def describe(network: DeployedSNN) -> dict[str, Any]:
    """Everything but the weights and delays, as plain values; ``layers`` repeats it for other programs."""
    return {
        "model_type": MODEL_TYPE,
        "format": FORMAT,
        "lit_delays": version("lit_delays"),
        "network": asdict(network.config),
        "class_names": list(network.class_names),
        "channels_per_bin": network.channels_per_bin,
        "layers": constants(network),
    }


def constants(network: DeployedSNN) -> list[dict[str, Any]]:
    """Per layer: what a simulator must know besides the synapses.

    ``leak`` is the share of the voltage lost in a step, ``v_threshold`` None where the layer never spikes.
    ``extra_steps`` is how many steps after the end of a clip its neurons still act; later ones are silent.
    """
    layers, lasts = [], 0
    for name, layer in network.named_layers().items():
        lasts += layer.extra_steps
        threshold = layer.neuron.v_threshold
        layers.append(
            {
                "name": name,
                "leak": float(layer.neuron.leak),
                "v_threshold": threshold if math.isfinite(threshold) else None,
                "extra_steps": lasts,
            }
        )
    return layers
