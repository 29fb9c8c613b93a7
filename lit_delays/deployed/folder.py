"""A deployed network as a folder to publish: safetensors, config.json and a model card.

The layout is that of Hugging Face's hub. The tensors are those of :class:`~.network.DeployedSNN`, by name:
``layers.0.weight`` and ``layers.0.delay`` (int16, in time steps) of shape ``(neurons, inputs, synapses)``,
``layers.0.bias`` of shape ``(neurons,)``; the last layer is the readout. No code is run when it is read.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from lit_delays.deployed.description import FORMAT, MODEL_TYPE, describe
from lit_delays.deployed.network import DeployedSNN, check_numbers
from lit_delays.deployed.place import new_place
from lit_delays.errors import InputError
from lit_delays.snn.network import NetworkConfig

TENSORS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save(network: DeployedSNN, folder: Path, facts: tuple[str, ...] = ()) -> None:
    """Write a folder that :func:`load` reads.

    Args:
        network: What to write.
        folder: A new folder.
        facts: Sentences for the model card, such as what accuracy it reached.

    Raises:
        InputError: If the folder exists or cannot be written.
    """
    with new_place(folder) as place:
        place.mkdir()
        (place / TENSORS).write_bytes(to_bytes(network.state_dict(), metadata={"format": "pt"}))
        (place / CONFIG).write_text(json.dumps(describe(network), indent=2) + "\n")
        (place / CARD).write_text(_card(network, folder.resolve().name, facts))


def load(folder: str | Path) -> DeployedSNN:
    """Read a network that ``export --format safetensors`` wrote.

    Args:
        folder: The folder.

    Raises:
        InputError: If it is not such a folder, or not whole.
    """
    folder = Path(folder)
    config = _read_config(folder)
    try:
        with torch.device("meta"):  # no memory for what the file may not hold
            network = DeployedSNN(
                NetworkConfig(**config["network"]), tuple(config["class_names"]), config["channels_per_bin"]
            )
        network.load_state_dict(load_file(folder / TENSORS), assign=True)
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{folder} is not whole; export it anew. What is wrong: {error}") from error
    check_numbers(network)
    return network


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} must be a folder that `export --format safetensors` wrote; {CONFIG}: {error}"
        ) from error
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
        raise InputError(f"{folder / CONFIG} is not of a network of lit_delays.")
    if config.get("format") != FORMAT:
        raise InputError(
            f"{folder} has format {config.get('format')}, this version of lit_delays reads {FORMAT};"
            " install the version that wrote it."
        )
    return config


def _card(network: DeployedSNN, name: str, facts: tuple[str, ...]) -> str:
    config, layers = network.config, network.named_layers()
    rows = [_row(layer_name, layer) for layer_name, layer in layers.items()]
    return CARD_TEXT.format(
        name=name,
        decision=config.decision,
        time_step=config.time_step_ms,
        inputs=config.num_inputs,
        channels=network.channels_per_bin,
        classes=", ".join(network.class_names),
        rows="\n".join(rows),
        facts="\n".join(["", *facts, ""]) if facts else "",
    )


def _row(name: str, layer: Any) -> str:
    exists = layer.weight != 0
    longest = int(layer.delay[exists].max()) if exists.any() else 0
    neurons, inputs, _ = layer.weight.shape
    return f"| {name} | {inputs} -> {neurons} | {int(exists.sum()):,} | 0 to {longest} |"


CARD_TEXT = """---
library_name: lit_delays
tags:
- spiking-neural-network
- synaptic-delays
---

# {name}

A spiking network with a delay on every synapse (Hammouamri et al., 2023,
https://arxiv.org/abs/2306.17670), as it ships: delays are whole time steps of
{time_step:g} ms, batch norm is folded into the weights and a bias.
{facts}
| layer | size | synapses | delays (steps) |
|---|---|---|---|
{rows}

- Input: spike counts of {inputs} channels per time step. A channel merges {channels} of a recording.
- Answer: `{decision}` of the readout over time. Classes: {classes}.

```python
from lit_delays.deployed.folder import load

network = load("{name}")
scores = network.scores(counts)  # counts (time, batch, channels) -> (batch, classes)
```

`config.json` lists every constant for other programs.
"""
