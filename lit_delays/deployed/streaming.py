"""The deployed network one time step at a time: what a device does that hears a microphone.

A spike is known the moment it comes and heard up to a delay later. So every layer keeps a ring of future
currents, one slot a lag: a spike adds each of its weights to the slot that its delay points at, and a step
takes the slot that is due. Work is done for spikes alone, and nothing looks ahead.

Letters: I inputs, N neurons of a layer, K lags, C classes.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_delays.deployed.network import DeployedLayer, DeployedSNN
from lit_delays.errors import InputError

Array = NDArray[Any]


class Step(NamedTuple):
    """What a network does in one time step.

    Attributes:
        spikes: Output of every hidden layer, each ``(N,)``.
        readout: Voltage, or spikes, of the readout, ``(C,)``.
        scores: Score of every class so far, ``(C,)``; the largest is the running answer.
    """

    spikes: list[Array]
    readout: Array
    scores: Array


class StreamingDelaySNN:
    """Runs a deployed network step by step, with the spikes of the batch network in every step.

    In a batch, layers outlast a clip by half a delay window each. A stream knows the end of a clip when it
    comes: :meth:`finish` gives those last steps. A stream without an end needs none of it.

    Args:
        network: The deployed network; its precision is kept.

    Example:
        >>> import torch
        >>> from lit_delays.deployed.network import deploy
        >>> from lit_delays.snn.network import DelaySNN, NetworkConfig
        >>> deployed = deploy(DelaySNN(NetworkConfig(num_inputs=4, num_classes=2, hidden_size=8)))
        >>> stream, counts = StreamingDelaySNN(deployed), torch.ones(10, 4)
        >>> steps = [stream.step(count) for count in counts] + list(stream.finish())
        >>> len(steps) == len(deployed(counts[:, None]))
        True
    """

    def __init__(self, network: DeployedSNN) -> None:
        self.config, self.class_names = network.config, network.class_names
        self._layers = [_Layer(layer) for layer in network.named_layers().values()]
        lasts = np.cumsum([layer.extra_steps for layer in network.named_layers().values()])
        self._lasts = lasts.tolist()  # steps that a layer goes on after the clip
        self.restart()

    def restart(self) -> None:
        """Forget everything: the next step is the first of a new clip."""
        for layer in self._layers:
            layer.rest()
        hidden = self._layers[:-1]
        self._traces = [np.zeros_like(layer.bias) for layer in hidden]  # of the synaptic filter
        self._num_steps = 0
        self._total = np.zeros_like(self._layers[-1].bias)

    def step(self, counts: ArrayLike) -> Step:
        """Take in the counts of one time step, shape ``(I,)``."""
        counts = np.asarray(counts, self._total.dtype)
        if counts.shape != (self.config.num_inputs,):
            raise InputError(
                f"`counts` must have one number for each of the {self.config.num_inputs} inputs,"
                f" got shape {counts.shape}."
            )
        return self._advance(counts, after_end=0)

    def finish(self) -> Iterator[Step]:
        """The steps after the end of a clip, until the last layer falls silent; then a new clip begins."""
        nothing = np.zeros(self.config.num_inputs, self._total.dtype)
        for after_end in range(1, self._lasts[-1] + 1):
            yield self._advance(nothing, after_end)
        self.restart()

    def _advance(self, x: Array, after_end: int) -> Step:
        spikes = []
        for index, (layer, lasts) in enumerate(zip(self._layers, self._lasts, strict=True)):
            x = layer.step(x) if after_end <= lasts else np.zeros_like(layer.bias)
            if index < len(self._traces):
                spikes.append(x)
                x = self._transmit(index, x) if after_end <= lasts else x
        return Step(spikes, x, self._decide(x))

    def _transmit(self, index: int, spikes: Array) -> Array:
        tau = self.config.synapse_tau
        if tau is None:
            return spikes
        self._traces[index] = self._traces[index] * (1 - (1 - spikes) / tau) + spikes
        return self._traces[index]

    def _decide(self, readout: Array) -> Array:
        """Fold a step into the scores, as :func:`~lit_delays.snn.decisions.class_scores` does for all."""
        self._num_steps += 1
        match self.config.decision:
            case "sum":
                self._total = self._total + _softmax(readout)
            case "mean" | "spike_count":
                self._total = self._total + readout
            case "max":
                self._total = readout if self._num_steps == 1 else np.maximum(self._total, readout)
        return self._total / self._num_steps if self.config.decision == "mean" else self._total


class _Layer:
    """A layer's ring of future currents, and its neurons."""

    def __init__(self, layer: DeployedLayer) -> None:
        weight, delay = layer.weight.cpu().numpy(), layer.delay.cpu().numpy()
        self.kind, self.v_threshold = layer.neuron.kind, layer.neuron.v_threshold
        self.keep = 1 - float(layer.neuron.leak)
        self.bias: Array = layer.bias.cpu().numpy()
        self.ring = np.zeros(layer.max_delay * len(self.bias), self.bias.dtype)
        place = delay.astype(np.int64) * len(self.bias) + np.arange(len(self.bias))[:, None, None]
        exists = weight != 0
        self.places = [place[:, i][exists[:, i]] for i in range(weight.shape[1])]
        self.weights = [weight[:, i][exists[:, i]] for i in range(weight.shape[1])]
        self.rest()

    def rest(self) -> None:
        self.ring.fill(0)
        self.now, self.v_mem = 0, np.zeros_like(self.bias)

    def step(self, x: Array) -> Array:
        """Output ``(N,)`` in this step, for input ``(I,)``."""
        active = np.flatnonzero(x).tolist()
        if active:
            places = np.concatenate([self.places[i] for i in active]) + self.now
            places[places >= len(self.ring)] -= len(self.ring)
            currents = np.concatenate([self.weights[i] * x[i] for i in active])
            np.add.at(self.ring, places, currents)
        due = self.ring[self.now : self.now + len(self.bias)]
        current = due + self.bias
        due.fill(0)
        self.now = (self.now + len(self.bias)) % len(self.ring)
        return self._fire(current)

    def _fire(self, current: Array) -> Array:
        """The neurons of :mod:`lit_delays.snn.neurons`, one step."""
        fires = math.isfinite(self.v_threshold)
        if self.kind == "relu" and fires:
            return np.maximum(current, 0)
        if self.kind in ("relu", "heaviside"):
            return (current >= self.v_threshold).astype(current.dtype) if fires else current
        self.v_mem = current + self.keep * self.v_mem
        if not fires:
            return self.v_mem
        fired: Array = self.v_mem >= self.v_threshold
        self.v_mem[fired] = 0
        return fired.astype(current.dtype)


def _softmax(x: Array) -> Array:
    exponential: Array = np.exp(x - x.max())
    return np.asarray(exponential / exponential.sum())
