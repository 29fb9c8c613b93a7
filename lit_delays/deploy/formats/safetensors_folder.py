"""A deployed network as a folder to publish: safetensors, config.json and a model card.

The layout is that of Hugging Face's hub. The tensors are those of the network, by name:
``layers.0.synapses.weight`` and ``layers.0.synapses.delay`` (int16, in time steps) of shape
``(neurons, inputs, synapses)``, ``layers.0.synapses.bias`` of shape ``(neurons,)``, what the neurons have
learned under ``layers.0.neuron``, and synapses of the layer to itself under ``layers.0.recurrent.synapses``,
where a delay of 0 acts in the next step; the same of ``readout``.
Reading runs no code but that of the classes of
neurons and synapses, which must be known or allowed.
"""

import inspect
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from lit_delays.deploy.deploy import check, deploy, whole
from lit_delays.deploy.formats.description import FORMAT, MODEL_TYPE, describe
from lit_delays.deploy.output_path import new_output
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.plain_text import markdown
from lit_delays.security.stored_bytes import refuse_holes
from lit_delays.snn.network import Layer, Network, readout_neuron
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, Neuron, SynapticFilter
from lit_delays.snn.recurrence import Recurrence
from lit_delays.snn.synapses import WholeDelays
from lit_delays.snn.synapses.base import MOST_LAGS
from lit_delays.training.checkpoint_files import first_misfit, require_room

TENSORS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
MOST_BYTES = 2**24  # of config.json

UNKNOWN_LICENSE = "unknown"  # a word of the hub's

Tensors = dict[str, Tensor]


def save(
    network: Network, folder: Path, facts: tuple[str, ...] = (), license_: str = UNKNOWN_LICENSE
) -> None:
    """Write a folder that :func:`load` reads.

    Args:
        network: What to write; one in training is deployed first.
        folder: A new folder.
        facts: Sentences for the model card, in Markdown, such as what accuracy it reached.
        license_: Of the weights, as the hub names it: mit, cc-by-4.0.

    Raises:
        InputError: If the folder exists or cannot be written, or the license is no name.
    """
    if not re.fullmatch(r"[\w.-]{1,50}", license_):
        raise InputError(f"`--license` must be a name such as mit or cc-by-4.0, got {license_!r:.80}.")
    network = deploy(network)
    tensors = {name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}
    with new_output(folder) as temporary:
        temporary.mkdir()
        (temporary / TENSORS).write_bytes(to_bytes(tensors, metadata={"format": "pt"}))
        (temporary / CONFIG).write_text(json.dumps(describe(network), indent=2) + "\n")
        (temporary / CARD).write_text(_card(network, folder.resolve().name, facts, license_))


def load(folder: str | Path) -> Network:
    """Read a network that ``export --format safetensors`` wrote.

    Args:
        folder: The folder.

    Raises:
        InputError: If it is not such a folder, not whole, or has parts that may not be imported.
    """
    folder = Path(folder)
    about = _read_config(folder)
    config = NetworkConfig.of(about.get("network", {}))
    interface = Interface.of(about.get("interface"))
    try:
        refuse_holes(folder / TENSORS)
        tensors = load_file(folder / TENSORS)
        layers = about.get("layers")
        synapses = _synapses(config, layers, tensors)  # sees that sizes are those of the tensors
        network = _network(config, interface, synapses, _recurrences(config, layers, tensors))
        _require_same(tensors, network.state_dict())
    except (OSError, SafetensorError, _Damage) as error:
        raise InputError(f"{folder} is not whole; export it anew. What is wrong: {error}") from error
    network.load_state_dict(tensors, assign=True)
    check(network)
    return network.eval().requires_grad_(False)


class _Damage(Exception):
    """What is wrong with a folder."""


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise _Damage(rule)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        with (folder / CONFIG).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        config = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{folder} must be a folder that `export --format safetensors` wrote; {CONFIG}: {error!s:.200}"
        ) from error
    if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
        raise InputError(f"{folder / CONFIG} is not of a network of lit_delays.")
    if config.get("format") != FORMAT:
        raise InputError(
            f"{folder} has format {config.get('format')!r:.80}, this version of lit_delays reads {FORMAT};"
            " install the version that wrote it."
        )
    return config


def _synapses(config: NetworkConfig, about: Any, tensors: Tensors) -> list[WholeDelays]:
    """Synapses of every layer, without memory for their numbers."""
    sizes = [config.num_inputs, *config.hidden_sizes, config.num_classes]
    names = [*(f"layers.{index}" for index in range(len(config.hidden_sizes))), "readout"]
    _require(isinstance(about, list) and len(about) == len(names), f"{len(names)} `layers` must be described")
    return [
        _whole_delays(name, *pair, entry, tensors.get(f"{name}.synapses.weight"))
        for name, pair, entry in zip(names, pairwise(sizes), about, strict=True)
    ]


def _recurrences(config: NetworkConfig, layers: Any, tensors: Tensors) -> list[Recurrence | None]:
    """Recurrent synapses of every hidden layer, without memory for their numbers."""
    return [
        None
        if config.of_layer(index, "recurrent") is None
        else _recurrence(f"layers.{index}.recurrent", size, layers[index], tensors)
        for index, size in enumerate(config.hidden_sizes)
    ]


def _recurrence(name: str, size: int, about: Any, tensors: Tensors) -> Recurrence:
    own = about.get("recurrent")
    about = {**own, "keep_length": True} if isinstance(own, dict) else own
    return Recurrence(_whole_delays(name, size, size, about, tensors.get(f"{name}.synapses.weight")))


def _whole_delays(
    name: str, num_inputs: int, num_neurons: int, about: Any, weight: Tensor | None
) -> WholeDelays:
    _require(isinstance(about, dict), f"{name} must be described by a mapping in `layers`, got {about!r:.80}")
    shape, num_lags, keep_length = (about.get(key) for key in ("shape", "num_lags", "keep_length"))
    found = [] if weight is None else list(weight.shape)
    holds = len(found) == 3 and found == shape and found[:2] == [num_neurons, num_inputs] and found[2] >= 1
    rule = f"({num_neurons}, {num_inputs}, 1 or more), as {CONFIG} says"
    _require(holds, f"{name}.synapses.weight must have the shape {rule}, got {found} for {shape!r:.80}")
    holds = type(num_lags) is int and 1 <= num_lags <= MOST_LAGS
    _require(holds, f"`num_lags` of {name} must be in [1, {MOST_LAGS}], got {num_lags!r:.80}")
    holds = type(keep_length) is bool
    _require(holds, f"`keep_length` of {name} must be true or false, got {keep_length!r:.80}")
    with torch.device("meta"):
        made = WholeDelays(num_inputs, num_neurons, found[2], num_lags=num_lags, keep_length=keep_length)
    require_room(name, made)
    return made


def _network(
    config: NetworkConfig,
    interface: Interface,
    synapses: list[WholeDelays],
    recurrences: list[Recurrence | None],
) -> Network:
    neurons = _neurons(config, [each.num_outputs for each in synapses])
    parts = zip(synapses, neurons, [*recurrences, None], strict=True)
    layers = [Layer(each, nn.Identity(), neuron, recurrent=recurrent) for each, neuron, recurrent in parts]
    if config.synapse_tau_ms is not None:
        for layer in layers[:-1]:
            size = layer.neuron.num_neurons, config.time_step_ms
            layer.synaptic_filter = SynapticFilter(*size, tau_ms=config.synapse_tau_ms)
    return Network(config, interface, layers)


def _neurons(config: NetworkConfig, sizes: list[int]) -> list[Neuron]:
    try:
        hidden = [
            config.of_layer(index, "neuron")(num_neurons, config.time_step_ms)
            for index, num_neurons in enumerate(sizes[:-1])
        ]
        return [*hidden, readout_neuron(config, hidden[-1])]
    except TypeError as error:
        raise _Damage(f"no neurons can be made of these arguments: {error}") from error


def _require_same(tensors: Tensors, expected: Tensors) -> None:
    """See that the file has the tensors that the network wants, and no others."""
    misfit = first_misfit(expected, tensors)
    _require(misfit is None, f"{misfit}")
    kinds = {name: (tensors[name].dtype, tensor.dtype) for name, tensor in expected.items()}
    numbers = {found for found, wanted in kinds.values() if wanted.is_floating_point}
    for name, (found, wanted) in kinds.items():
        holds = found == wanted or (found.is_floating_point and wanted.is_floating_point)
        _require(holds, f"`{name}` must be of type {wanted}, got {found}")
    _require(len(numbers) == 1, f"all numbers must have one precision, got {len(numbers)}")


def _card(network: Network, name: str, facts: tuple[str, ...], license_: str) -> str:
    config = network.config
    rows = [_row(layer_name, synapses) for layer_name, synapses in whole(network).items()]
    return CARD_TEXT.format(
        name=markdown(name),
        path=json.dumps(name),
        license=license_,
        answer=_answer(network),
        run=RUN_PER_STEP if _task(network) != "ClassPerSequence" else RUN,
        time_step=config.time_step_ms,
        inputs=config.num_inputs,
        counts=_counts(network.interface, config.time_step_ms),
        rules="\n".join(_rules(network)),
        classes=", ".join(map(markdown, network.class_names)),
        rows="\n".join(rows),
        facts="\n".join(["", *facts, ""]) if facts else "",
    )


def _task(network: Network) -> str:
    return network.interface.task if network.interface else "ClassPerSequence"


def _answer(network: Network) -> str:
    """Where an answer is read; a task from outside is named, as it may not be here."""
    task = _task(network)
    words = ANSWERS.get(task, f"as {markdown(task)} says")
    return words.format(decision=network.config.decision)


def _counts(interface: Interface | None, step_ms: float) -> str:
    """How events become counts."""
    if interface is not None and interface.scale is not None:
        return _scaled(interface)
    if interface is None or interface.num_units is None:
        return "What the inputs are is not known here."
    merged, clip_ms = interface.channels_per_bin, interface.clip_ms
    heard = f"c // {merged}" if merged > 1 else "c"
    cut = f" What is later than {clip_ms:g} ms after the first event is cut off." if clip_ms else ""
    return (
        f"An event of channel c (of {interface.num_units}) adds 1 to input {heard}, in the time step"
        f" {WINDOWS[interface.binning].format(step_ms)}.{cut}"
    )


def _scaled(interface: Interface) -> str:
    """How real values become currents, or crossings."""
    assert interface.scale is not None
    mean, deviation = (", ".join(f"{number:.6g}" for number in row) for row in interface.scale)
    told = f"Values are scaled, (value - mean) / deviation, with means {mean} and deviations {deviation}."
    if interface.crossing is None:
        return f"{told} Input c is channel c."
    return (
        f"{told} Input c spikes as often as channel c has risen by another {interface.crossing:g}, and input"
        f" c + {len(interface.scale[0])} as often as it has fallen by that."
    )


def _rules(network: Network) -> Iterator[str]:
    """The equation of every kind of neuron, and its numbers where a layer has one for all."""
    kinds: dict[type, list[str]] = {}
    for name, layer in network.named_layers().items():
        numbers = {key: n for key, n in layer.neuron.constants().items() if isinstance(n, int | float)}
        said = ", ".join(f"{key} = {number:.9g}" for key, number in numbers.items())
        kinds.setdefault(type(layer.neuron), []).append(f"{name} ({said})" if said else name)
    for kind, layers in kinds.items():
        yield f"- `{kind.__name__}`: {', '.join(layers)}.{AT_THRESHOLD if issubclass(kind, LIF) else ''}"
        docs = (inspect.getdoc(each) or "" for each in kind.__mro__)
        equation = next((found[1] for text in docs if (found := EQUATION.search(text))), None)
        if equation:
            yield f"\n  $${' '.join(equation.split())}$$\n"


def _row(name: str, synapses: WholeDelays) -> str:
    exists = synapses.weight != 0
    longest = int(synapses.delay[exists].max()) if exists.any() else 0
    size = f"{synapses.num_inputs} -> {synapses.num_outputs}"
    return f"| {name} | {size} | {int(exists.sum()):,} | 0 to {longest} |"


EQUATION = re.compile(r"\.\. math::((?:.+\n)+)")
AT_THRESHOLD = " It spikes where h[t] >= v_threshold, at it too; 1/tau is `leak`."
WINDOWS = {
    "uniform": "floor((t - t of the first event) / {:g} ms); the last step takes an event on its right edge",
    "paper": "that starts at the first event after the step before, and takes {:g} ms with both edges",
}
RUN = "scores = network.scores(counts)  # counts (time, batch, channels) -> (batch, classes)"
RUN_PER_STEP = "readout = network(inputs)  # inputs (time, batch, channels) -> (time, batch, outputs)"
ANSWERS = {  # by task; in words for those who have no Python here
    "ClassPerSequence": "`{decision}` of the readout over time",
    "ClassPerStep": "in every step, the class of the largest readout",
    "ValuePerSequence": "the readout of the step of the last input",
    "ValuePerStep": "the readout of every step",
}
CARD_TEXT = """---
library_name: lit_delays
license: {license}
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

- Input: {inputs} numbers per time step. {counts}
- Answer: {answer}. Outputs: {classes}.
- A neuron's input x[t] is the sum of its bias and the weights of all spikes sent `delay` steps ago.
{rules}

```python
import lit_delays

network = lit_delays.load({path})
{run}
```

`config.json` lists every constant for other programs.
"""
