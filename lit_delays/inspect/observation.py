"""What a network does with real samples: its mistakes, its activity, its work; and one sample in full.

Shape letters: T input steps, T' output steps, B samples, N neurons, I inputs, C classes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from lit_delays.data.batches import Batch
from lit_delays.metrics import Activity, SynapticOperations
from lit_delays.snn.network import Network
from lit_delays.snn.recorder import Recorder
from lit_delays.tasks import IGNORE, ClassPerSequence, Task


@dataclass(frozen=True)
class Sample:
    """One sample on its way through the network.

    Attributes:
        counts: Input, shape ``(T, I)``.
        outputs: Output of every hidden layer by its name, shape ``(T', N)`` each.
        readout: Output of the readout, shape ``(T', C)``.
        label: Its class; None where classes or values are asked of each step, or values.
    """

    counts: Tensor
    outputs: dict[str, Tensor]
    readout: Tensor
    label: int | None


@dataclass(frozen=True)
class Observation:
    """What the deployed network did with some samples.

    Attributes:
        num_samples: How many they were.
        confusion: Samples, or labelled steps, by true class (rows) and answer (columns), shape ``(C, C)``;
            None where values are asked for.
        pairs: Of the first batch: answers and what was asked, samples first, as the task has them.
        firing_rates: Of every hidden layer, as :class:`~lit_delays.metrics.Activity` counts them.
        silent: Share of the neurons of every hidden layer that never fired.
        synaptic_operations: Per sample, of every layer: those of
            :class:`~lit_delays.metrics.SynapticOperations` that are not on zeros.
        sample: The first sample.
    """

    num_samples: int
    confusion: Tensor | None
    pairs: tuple[Tensor, Tensor]
    firing_rates: dict[str, float]
    silent: dict[str, float]
    synaptic_operations: dict[str, float]
    sample: Sample

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        assert self.confusion is not None
        return float(self.confusion.diag().sum() / self.confusion.sum())


@torch.no_grad()
def observe(network: Network, batches: Iterable[Batch], task: Task | None = None) -> Observation:
    """Run the network as it would ship on these samples, one or more.

    Nothing of the network changes, its mode included, and no random number is drawn. Other processes of a
    training have no part in it: the observation is of these samples alone.

    Args:
        network: The network.
        batches: The samples.
        task: What is asked; the class of each sample by default.
    """
    task = task or ClassPerSequence(network.config.num_classes)
    device = next(chain(network.parameters(), network.buffers())).device
    activity = Activity(network, sync_on_compute=False).to(device)
    operations = SynapticOperations(network, sync_on_compute=False).to(device)
    confusion, num_samples = torch.zeros(2 * [network.config.num_classes], dtype=torch.long), 0
    sample, pairs = None, None
    with evaluation(network), Recorder(network) as recorder:
        for batch in batches:
            batch = move_data_to_device(batch, device)
            answer = task.answer(network, batch.counts(), batch.lengths)
            activity.update(recorder.record)
            operations.update(recorder.record)
            num_samples += len(answer[0]) if task.per_step else len(answer)
            if task.has_classes:
                _confuse(confusion, answer, batch.labels)
            has_label = task.has_classes and not task.per_step
            sample = sample or _first(recorder, int(batch.labels[0]) if has_label else None)
            pairs = pairs or _samples_first(task, answer, batch.labels)
    assert sample is not None
    assert pairs is not None
    measured = {name: float(value) for name, value in (activity.compute() | operations.compute()).items()}
    return Observation(
        num_samples=num_samples,
        confusion=confusion if task.has_classes else None,
        pairs=pairs,
        firing_rates=_by_layer(measured, "firing_rate/"),
        silent=_by_layer(measured, "silent/"),
        synaptic_operations=_by_layer(measured, "effective/"),
        sample=sample,
    )


def _confuse(confusion: Tensor, answer: Tensor, targets: Tensor) -> None:
    """Count the answers to what has a label."""
    labelled = targets != IGNORE
    pair = targets[labelled].cpu(), answer.argmax(dim=-1)[labelled].cpu()
    confusion.index_put_(pair, torch.tensor(1), accumulate=True)


def _samples_first(task: Task, answer: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    pair = (answer.transpose(0, 1), targets.transpose(0, 1)) if task.per_step else (answer, targets)
    return pair[0].float().cpu(), pair[1].cpu()


@contextmanager
def evaluation(network: Network) -> Iterator[None]:
    """Put the network into evaluation inside a ``with``, and every part of it back into what it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _first(recorder: Recorder, label: int | None) -> Sample:
    """The first sample of a batch, in a precision that figures can show."""
    outputs = {name: layer.output[:, 0].float().cpu() for name, layer in recorder.record.items()}
    readout = outputs.pop("readout")
    return Sample(recorder.record["hidden1"].heard[:, 0].float().cpu(), outputs, readout, label)


def _by_layer(measured: dict[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): it for name, it in measured.items() if name.startswith(prefix)}
