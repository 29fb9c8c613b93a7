"""The deployed network one time step at a time: as on a device behind a microphone.

A spike is known the moment it comes and acts up to a delay later: synapses keep a ring of currents to come.
Nothing looks ahead.

Letters: I inputs, N neurons of a layer, C classes.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lit_delays.deploy.deploy import deploy
from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.snn.readout import RunningScores


class Step(NamedTuple):
    """What a network does in one time step.

    Attributes:
        outputs: Of the neurons of every hidden layer, each ``(N,)``.
        readout: Voltage, or spikes, of the readout, ``(C,)``.
        scores: Score of every class so far, ``(C,)``; the largest is the running answer.
    """

    outputs: list[Tensor]
    readout: Tensor
    scores: Tensor


class Stream:
    """Runs a network step by step, with the spikes of the batch network in every step.

    In a batch, layers outlast a clip by half a delay window each. A stream knows the end of a clip when it
    comes: :meth:`finish` gives those last steps. A stream without an end needs none of it.

    Args:
        network: The network; one in training is deployed first. Its precision and device are kept.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> network = deploy(Network(NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[8])))
        >>> stream, counts = Stream(network), torch.ones(10, 4)
        >>> steps = [stream.step(count) for count in counts] + list(stream.finish())
        >>> len(steps) == len(network(counts[:, None]))
        True
    """

    def __init__(self, network: Network) -> None:
        self.network = deploy(network)
        self._layers = list(self.network.named_layers().values())
        self._extra_steps = list(extra_steps(self.network).values())
        self.restart()

    @torch.inference_mode()
    def restart(self) -> None:
        """Forget everything: the next step is the first of a new clip."""
        weight = self._layers[0].synapses.whole_delays()[0]
        silence = [weight.new_zeros(1, layer.synapses.num_inputs) for layer in self._layers]
        self._silence = silence[0][0]
        self._states = [layer.initial_state(x) for layer, x in zip(self._layers, silence, strict=True)]
        self._scores = RunningScores(self.network.config.decision)

    def step(self, counts: ArrayLike | Tensor) -> Step:
        """Take in the counts of one time step, shape ``(I,)``.

        Raises:
            InputError: If there are more or fewer.
        """
        x = torch.as_tensor(counts).to(self._silence)
        if x.shape != self._silence.shape:
            raise InputError(
                f"`counts` must have one number for each of the {len(self._silence)} inputs,"
                f" got shape {tuple(x.shape)}."
            )
        return self._advance(x, after_end=0)

    def finish(self) -> Iterator[Step]:
        """The steps after the end of a clip, until the last layer falls silent; then a new clip begins."""
        for after_end in range(1, self._extra_steps[-1] + 1):
            yield self._advance(self._silence, after_end)
        self.restart()

    @torch.inference_mode()
    def _advance(self, x: Tensor, after_end: int) -> Step:
        outputs, heard = [], x.unsqueeze(0)
        for index, (layer, extra) in enumerate(zip(self._layers, self._extra_steps, strict=True)):
            if after_end <= extra:
                output, heard, self._states[index] = layer.step(heard, self._states[index])
            else:
                output = heard = x.new_zeros(1, layer.synapses.num_outputs)
            outputs.append(output[0])
        *hidden, readout = outputs
        return Step(hidden, readout, self._scores.add(readout))


def extra_steps(network: Network) -> dict[str, int]:
    """How many steps after the end of a clip a layer still acts, by its name; later on it is silent.

    Example:
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> extra_steps(Network(NetworkConfig(hidden_sizes=[8])))  # half a window of 25 lags each
        {'hidden1': 12, 'readout': 24}
    """
    layers = network.named_layers()
    own = (layer.synapses.extra_steps for layer in layers.values())
    return dict(zip(layers, accumulate(own), strict=True))
