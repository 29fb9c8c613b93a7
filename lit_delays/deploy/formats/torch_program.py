"""A deployed network as a ``torch.export`` program of one time step: plain operations, for other runtimes.

Its state goes in and comes out, so that it runs on clips of any length, and for ever.

Letters: B samples, I inputs, N neurons of a layer, C classes, K lags.
"""

import io
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.formats.description import describe
from lit_delays.deploy.output_path import new_output
from lit_delays.deploy.stream import extra_steps
from lit_delays.snn.network import Layer, LayerState, Network
from lit_delays.snn.readout import class_scores

ABOUT = "about.json"  # beside the program in its file
PARTS = ("neuron", "synaptic_filter", "recurrent")  # of the state of a layer
TOTAL, COUNTED = "scores.total", "scores.num_steps"

State = dict[str, Tensor]  # by name, each with the batch first


class OneStep(nn.Module):
    """One time step of a network, for any number of clips at once.

    Args:
        network: A deployed network.

    Attributes:
        rest: The state before the first step, of one clip.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> network = deploy(Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8])))
        >>> step = OneStep(network)
        >>> state, counts = step.zeros(batch_size=3), torch.ones(10, 3, 4)
        >>> for at in range(10 + step.extra_steps[-1]):
        ...     heard = counts[at] if at < 10 else torch.zeros(3, 4)
        ...     scores, state = step(heard, torch.full((3,), max(0, at - 9)), state)
        >>> torch.allclose(scores, network.scores(counts))
        True
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        layers, self.dtype = network.named_layers(), network.dtype
        self.names, self.layers = list(layers), nn.ModuleList(layers.values())
        self.extra_steps, self.decision = list(extra_steps(network).values()), network.config.decision
        self.rest: State = {}
        for name, layer in layers.items():
            silence = torch.zeros(1, layer.synapses.num_inputs, dtype=self.dtype)
            self.rest |= _flat(name, layer.initial_state(silence))
        self.rest |= {
            TOTAL: torch.zeros(1, network.config.num_classes, dtype=self.dtype),
            COUNTED: torch.zeros(1, 1, dtype=self.dtype),
        }
        self._elsewhere = {name: value for name, value in self.rest.items() if value.any()}

    def zeros(self, batch_size: int) -> State:
        """The state that goes into the first step: how far the network is from rest."""
        return {name: value.new_zeros(batch_size, *value.shape[1:]) for name, value in self.rest.items()}

    def forward(self, counts: Tensor, after_end: Tensor, state: State) -> tuple[Tensor, State]:
        """Scores so far and the new state.

        Args:
            counts: Of this step, any kind of number, shape ``(B, I)``; zeros after the end of a clip.
            after_end: Steps since each clip ended, 0 while it lasts, shape ``(B,)``, int64.
            state: All zeros before the first step.

        Returns:
            Scores ``(B, C)``, and the state, as it goes into the next step.
        """
        heard = torch.zeros_like(counts, dtype=self.dtype).copy_(counts)
        before, after = self._shifted(state, 1), State()
        for name, layer, last in zip(self.names, self.layers, self.extra_steps, strict=True):
            assert isinstance(layer, Layer)
            acts = (after_end <= last).unsqueeze(-1)
            _, heard, layer_state = layer.step(heard, _nested(name, before))
            after, heard = after | _flat(name, layer_state), heard * acts
        scores, counted = self._add(heard, acts, before)
        after |= counted
        return scores, self._shifted(after, -1)

    def _shifted(self, state: State, sign: int) -> State:
        """From the distance to rest to the state, and back; most neurons rest at zero."""
        moved = {name: state[name] + sign * rest for name, rest in self._elsewhere.items()}
        return state | moved

    def _add(self, readout: Tensor, acts: Tensor, before: State) -> tuple[Tensor, State]:
        """Scores with this step, where the readout still acts."""
        votes, total, num_steps = class_scores(readout[None], self.decision), before[TOTAL], before[COUNTED]
        if self.decision == "max":
            more = torch.where(num_steps > 0, torch.maximum(total, votes), votes)
        else:
            more = total + votes
        total, num_steps = torch.where(acts, more, total), num_steps + acts
        scores = total / num_steps if self.decision == "mean" else total
        return scores, {TOTAL: total, COUNTED: num_steps}


def to_program(network: Network) -> ExportedProgram:
    """Trace one time step of the network.

    Args:
        network: The network; one in training is deployed first.

    Returns:
        Program of :class:`OneStep`: counts, steps after the end and the state to scores and the new state.
    """
    step, batch = OneStep(deploy(network).cpu()), {0: Dim("batch", min=1)}
    counts = torch.zeros(2, network.config.num_inputs, dtype=network.dtype)
    example = (counts, torch.zeros(2, dtype=torch.int64), step.zeros(2))
    with torch.no_grad():
        return torch.export.export(
            step, example, dynamic_shapes=(batch, batch, dict.fromkeys(step.rest, batch)), strict=False
        )


def save(network: Network, path: Path) -> None:
    """Write the program as a ``.pt2`` file, for ``torch.export.load``.

    ``about.json`` in it is ``config.json`` of the safetensors folder, and the shapes of the state by name and
    its type.

    Raises:
        InputError: If the file exists or cannot be written.
    """
    network = deploy(network)
    shapes = {name: list(value.shape[1:]) for name, value in OneStep(network.cpu()).rest.items()}
    numbers = {"state": shapes, "dtype": str(network.dtype).removeprefix("torch.")}
    program, content = to_program(network), io.BytesIO()
    about = json.dumps(describe(network) | numbers)
    torch.export.save(program, content, extra_files={ABOUT: about})
    with new_output(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _flat(name: str, state: LayerState) -> State:
    parts = {part: getattr(state, part) for part in PARTS}
    flat = {f"{name}.{part}.{key}": value for part, values in parts.items() for key, value in values.items()}
    return {f"{name}.ring": state.ring, **flat}


def _nested(name: str, state: State) -> LayerState:
    def part(prefix: str) -> State:
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    return LayerState(state[f"{name}.ring"], **{kind: part(f"{name}.{kind}.") for kind in PARTS})
