"""What a network does with real samples: its mistakes, its spikes, its work; and one sample in full.

Shape letters: T input steps, T' output steps, B samples, N neurons, I inputs, C classes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from lit_delays.snn.decisions import class_scores
from lit_delays.snn.delays import DelayedLinear
from lit_delays.snn.network import DelaySNN
from lit_delays.training.callbacks import named_delay_layers
from lit_delays.training.classifier import Batch


@dataclass(frozen=True)
class Sample:
    """One sample on its way through the network.

    Attributes:
        counts: Input, shape ``(T, I)``.
        spikes: Output of every hidden layer, shape ``(T', N)`` each.
        readout: Voltage of the readout, shape ``(T', C)``.
        label: Its class.
    """

    counts: Tensor
    spikes: list[Tensor]
    readout: Tensor
    label: int


@dataclass(frozen=True)
class Evidence:
    """What the deployed network did with some samples.

    Attributes:
        confusion: Samples by true class (rows) and answer (columns), shape ``(C, C)``.
        firing_rates: Of every hidden layer, in spikes per second and neuron.
        silent: Share of the neurons of every hidden layer that never fired.
        synaptic_operations: Per sample, of every layer of synapses: the non-zero inputs that a synapse passes
            on, padding of the batch included.
        sample: The first sample.
    """

    confusion: Tensor
    firing_rates: dict[str, float]
    silent: dict[str, float]
    synaptic_operations: dict[str, float]
    sample: Sample

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.confusion.diag().sum() / self.confusion.sum())


@torch.no_grad()
def observe(network: DelaySNN, batches: Iterable[Batch]) -> Evidence:
    """Run the deployed network on these samples, one or more, and watch it.

    Nothing of the network changes, its mode included, and no random number is drawn.
    """
    with deployed(network), ExitStack() as stack:
        events = {
            name: stack.enter_context(_events_into(layer))
            for name, layer in named_delay_layers(network).items()
        }
        watched = [_Layer() for _ in network.hidden]
        confusion, sample = torch.zeros(2 * [network.config.num_classes], dtype=torch.long), None
        for batch in batches:
            batch = move_data_to_device(batch, network.readout.weight.device)
            counts = batch.counts()
            readout = network(counts, watch=lambda index, spikes: watched[index].see(spikes))
            answers = class_scores(readout, network.config.decision).argmax(dim=-1)
            confusion.index_put_((batch.labels.cpu(), answers.cpu()), torch.tensor(1), accumulate=True)
            if sample is None:
                spikes = [layer.first for layer in watched]
                sample = Sample(counts[:, 0].cpu(), spikes, readout[:, 0].cpu(), int(batch.labels[0]))
    assert sample is not None
    names = [f"hidden{index + 1}" for index in range(len(watched))]
    per_second = 1000 / network.config.time_step_ms
    return Evidence(
        confusion=confusion,
        firing_rates={name: layer.rate() * per_second for name, layer in zip(names, watched, strict=True)},
        silent={name: layer.silent() for name, layer in zip(names, watched, strict=True)},
        synaptic_operations={name: float(count() / confusion.sum()) for name, count in events.items()},
        sample=sample,
    )


@contextmanager
def deployed(network: DelaySNN) -> Iterator[None]:
    """Put the network into evaluation inside a ``with``, and back into what it was."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


class _Layer:
    """Spikes of one hidden layer, added up."""

    first: Tensor

    def __init__(self) -> None:
        self._spikes: Tensor | None = None
        self._steps = 0

    def see(self, spikes: Tensor) -> None:
        """Add the spikes of a batch, shape ``(T', B, N)``."""
        total = spikes.sum(dim=(0, 1)).cpu().double()
        if self._spikes is None:
            self._spikes, self.first = torch.zeros_like(total), spikes[:, 0].cpu()
        self._spikes += total
        self._steps += spikes.shape[0] * spikes.shape[1]

    def rate(self) -> float:
        """Mean output of a neuron in a step."""
        assert self._spikes is not None
        return float(self._spikes.mean() / self._steps)

    def silent(self) -> float:
        """Share of the neurons without output."""
        assert self._spikes is not None
        return float((self._spikes == 0).double().mean())


@contextmanager
def _events_into(layer: DelayedLinear) -> Iterator[Callable[[], Tensor]]:
    """Count what the synapses of a layer pass on; the result is a function that tells the count so far."""
    exists = torch.ones_like(layer.weight) if layer.mask is None else layer.mask
    fan_out = exists.sum(dim=(0, 2)).cpu().double()
    total = torch.zeros((), dtype=torch.float64)

    def count(module: DelayedLinear, inputs: tuple[Tensor]) -> None:
        total.add_((inputs[0] != 0).sum(dim=(0, 1)).cpu().double() @ fan_out)

    handle = layer.register_forward_pre_hook(count)
    try:
        yield total.clone
    finally:
        handle.remove()
