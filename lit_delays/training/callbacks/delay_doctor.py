"""What goes wrong when delays are learned, and how it shows: each sign with its number and what to try."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.snn.network import Network
from lit_delays.snn.neurons import Neuron, TwoStateNeuron
from lit_delays.training import epoch_table as table
from lit_delays.training.callbacks import delay_histograms as histograms
from lit_delays.training.callbacks.delay_histograms import DelayHistograms, Histograms, read_histograms
from lit_delays.training.classifier import network_of
from lit_delays.training.epoch_table import EpochTable, Rows, read_table

FILE_NAME = "warnings.txt"

RECENT = 3  # epochs that a sign must last
SILENT = 0.1  # spikes per second and neuron
SATURATED = 0.4  # spikes per time step and neuron
OSCILLATING = 0.1  # share of the neurons of a layer
PILE = 0.15  # share of the synapses at one end of the window, beyond what an even spread has there
RESTLESS = 1 / 6  # of the window, in an epoch; delays drawn anew would move by a third of it
DROP = 0.1  # of the validation accuracy, mean of three epochs
PLATEAU = 0.1  # of all epochs without progress; at least five of them
PROGRESS = 0.01  # of the loss
SOLVED = 0.9  # training accuracy from which a loss may rest
TRAINING = 0.1  # of the highest learning rate so far, below which a loss is meant to rest


class Finding(NamedTuple):
    """One sign of trouble.

    Attributes:
        what: The sign; it is reported once a run.
        why: The number that shows it, and what to try.
    """

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class DelayDoctor(Callback):
    """Says once when a run shows one of the signs under which learning delays fails.

    It looks at the run's table and histograms after every epoch, prints a line for a new sign and keeps it in
    ``warnings.txt`` in the folder of the run. A run without a table has nothing to look at.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []  # of the file

    @override
    @rank_zero_only
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        path = Path(trainer.default_root_dir) / FILE_NAME
        self._lines = path.read_text().splitlines() if path.exists() else []

    @override
    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0:
            (Path(trainer.default_root_dir) / FILE_NAME).unlink(missing_ok=True)
        else:  # only now the table has all of the epoch before
            self._look(trainer, pl_module)

    @override
    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer, pl_module)

    def _look(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        rows, counts = records_of(trainer)
        rows = {epoch: row for epoch, row in rows.items() if epoch < trainer.current_epoch}
        for finding in diagnose(network_of(pl_module), rows, counts, trainer.max_epochs or 1):
            if not any(f": {finding.what}: " in line for line in self._lines):
                self._lines.append(f"epoch {max(rows, default=0) + 1}: {finding}")
                print(f"warning: {self._lines[-1]}", flush=True)
                text = "".join(f"{line}\n" for line in self._lines)
                write_atomic(Path(trainer.default_root_dir) / FILE_NAME, text)


def records_of(trainer: pl.Trainer) -> tuple[Rows, Histograms]:
    """Metrics and delays of a run by epoch, as its table and its histograms have them; else empty."""
    tables = [logger.rows for logger in trainer.loggers if isinstance(logger, EpochTable)]
    counts = [item.counts for item in trainer.callbacks if isinstance(item, DelayHistograms)]  # type: ignore[attr-defined]
    return (tables or [{}])[0], (counts or [{}])[0]


def read_run(run_dir: Path) -> tuple[Rows, Histograms]:
    """The same of a run that is over, from the files in its folder; empty where it lacks them."""
    path = run_dir / table.FILE_NAME
    return read_table(path) if path.exists() else {}, read_histograms(run_dir / histograms.FILE_NAME)


def diagnose(network: Network, rows: Rows, counts: Histograms, num_epochs: int) -> list[Finding]:
    """Signs of trouble, in the order in which they are best mended.

    Args:
        network: Whose run it is.
        rows: Metrics by epoch.
        counts: Delays of every layer by epoch; the last ones are looked at.
        num_epochs: Epochs of the whole run.

    Source:
        Hammouamri et al. (2023), Sec. 3.3 and 5, for the width of the soft delays; the numbers are ours, far
        from those of healthy runs: a false alarm costs more trust than a missed one.

    Example:
        >>> from functools import partial
        >>> from lit_delays.snn.network_config import NetworkConfig
        >>> from lit_delays.snn.synapses import SynapticDelays
        >>> network = Network(NetworkConfig(synapses=partial(SynapticDelays, max_delay_ms=50.0)))
        >>> print(*diagnose(network, {}, {"hidden1": {1: [4, 1, 1, 1, 1]}}, 10))
        delays of hidden1 pile up at 0 ms: 50% of its synapses (evenly spread: 10%); lower \
--model.optimizer.delay_lr, or start with narrower soft delays (--sigma.start)
    """
    return [
        *_activity(network, rows, num_epochs),
        *_oscillation(network),
        *_restless(network, rows, num_epochs),
        *_piles(network, counts),
        *_sigma(rows),
        *_plateau(rows, num_epochs),
    ]


def _activity(network: Network, rows: Rows, num_epochs: int) -> Iterator[Finding]:
    layers, steps_per_second = network.named_layers(), 1000 / network.config.time_step_ms
    for name, rates in _recent(rows, "firing_rate/", num_epochs).items():
        if name not in layers or not layers[name].neuron.spikes:
            continue
        if max(rates) < SILENT:
            yield Finding(
                f"{name} is silent",
                f"{max(rates):.2g} spikes per second and neuron; {_louder(layers[name].neuron)}",
            )
        if min(rates) / steps_per_second > SATURATED:
            yield Finding(
                f"{name} fires all the time",
                f"a neuron spikes in {max(rates) / steps_per_second:.0%} of the time steps;"
                f" {_calmer(layers[name].neuron)}",
            )


def _louder(neuron: Neuron) -> str:
    if isinstance(neuron, TwoStateNeuron):
        return "lower the upper ends of --model.network.neuron.a and b, or --model.optimizer.weight_lr"
    return "lower --model.network.neuron.v_threshold or --model.optimizer.weight_lr"


def _calmer(neuron: Neuron) -> str:
    if isinstance(neuron, TwoStateNeuron):
        return "raise the lower end of --model.network.neuron.b, or lower --model.optimizer.weight_lr"
    return "raise --model.network.neuron.v_threshold, or lower --model.optimizer.weight_lr"


def _oscillation(network: Network) -> Iterator[Finding]:
    """Neurons that swing ever higher without input: below threshold, potential and adaptation are linear."""
    for name, layer in network.named_layers().items():
        if not isinstance(layer.neuron, TwoStateNeuron):
            continue
        growth, period = layer.neuron.oscillation()
        share = float((growth > 1).float().mean())
        if share > OSCILLATING:
            steps = float(period[growth > 1].median())
            yield Finding(
                f"{name} oscillates",
                f"{share:.0%} of its neurons swing ever higher without input, with a period of"
                f" {steps * network.config.time_step_ms:.0f} ms; take --model.network.neuron SEAdLIF, whose"
                " method is stable, or lower the upper end of --model.network.neuron.a",
            )


def _restless(network: Network, rows: Rows, num_epochs: int) -> Iterator[Finding]:
    layers = network.named_synapses()
    for name, changes in _recent(rows, "delay_change/", num_epochs).items():
        if (
            name in layers
            and layers[name].learns_delays
            and min(changes) > RESTLESS * (lags := layers[name].num_lags)
        ):
            yield Finding(
                f"delays of {name} do not settle",
                f"they moved by {changes[-1]:.1f} time steps in an epoch, in a window of {lags};"
                " lower --model.optimizer.delay_lr",
            )


def _piles(network: Network, counts: Histograms) -> Iterator[Finding]:
    for name, synapses in network.named_synapses().items():
        if name not in counts or not synapses.learns_delays:
            continue
        last, lags = counts[name][max(counts[name])], synapses.num_lags
        for lag, even, try_this in (
            (0, 0.5 / lags, "start with narrower soft delays (--sigma.start)"),
            (lags - 1, 1.5 / lags, "widen --model.network.synapses.max_delay_ms"),
        ):
            share = last[lag] / max(sum(last), 1)
            if share > min(even + PILE, 0.99):
                yield Finding(
                    f"delays of {name} pile up at {lag * network.config.time_step_ms:g} ms",
                    f"{share:.0%} of its synapses (evenly spread: {even:.0%}); lower"
                    f" --model.optimizer.delay_lr, or {try_this}",
                )


def _sigma(rows: Rows) -> Iterator[Finding]:
    epochs = [epoch for epoch, row in sorted(rows.items()) if {"sigma", "val/acc"} <= set(row)]
    if len(epochs) < 2 * RECENT:
        return
    narrows = rows[epochs[0]]["sigma"] > rows[epochs[-1]]["sigma"]
    still = rows[epochs[-RECENT - 1]]["sigma"] > rows[epochs[-1]]["sigma"]
    accuracies = [rows[epoch]["val/acc"] for epoch in epochs]
    means = [sum(accuracies[end - RECENT : end]) / RECENT for end in range(RECENT, len(epochs) + 1)]
    if narrows and still and max(means) - means[-1] > DROP:
        yield Finding(
            "validation accuracy falls as the soft delays narrow",
            f"from {max(means):.1%} to {means[-1]:.1%} (means of {RECENT} epochs), at a sigma of"
            f" {rows[epochs[-1]]['sigma']:.2g} time steps; narrow more slowly (--sigma.duration) or to a"
            " wider --sigma.final",
        )


def _plateau(rows: Rows, num_epochs: int) -> Iterator[Finding]:
    losses = [row["train/loss"] for _, row in sorted(rows.items()) if "train/loss" in row]
    rest = max(5, round(PLATEAU * num_epochs))
    rates = [row["lr/weights"] for _, row in sorted(rows.items()) if "lr/weights" in row]
    if len(losses) <= rest or (rates and rates[-1] < TRAINING * max(rates)):
        return
    accuracy = max(row.get("train/acc", 0.0) for row in rows.values())
    before, lately = min(losses[:-rest]), min(losses[-rest:])
    if lately > (1 - PROGRESS) * before and accuracy < SOLVED:
        yield Finding(
            "the training loss rests early",
            f"{lately:.3g} in the last {rest} epochs, {before:.3g} before, at a training accuracy of"
            f" {accuracy:.1%}; try another --model.optimizer.weight_lr, or start with wider soft delays"
            " (--sigma.start)",
        )


def _recent(rows: Rows, prefix: str, num_epochs: int) -> dict[str, list[float]]:
    """What was logged in the last few epochs, by layer; nothing while there are too few of them."""
    needed = min(RECENT, num_epochs)
    if len(rows) < needed:
        return {}
    last = [row for _, row in sorted(rows.items())][-needed:]
    names = [name for name in last[-1] if name.startswith(prefix) and all(name in row for row in last)]
    return {name.removeprefix(prefix): [row[name] for row in last] for name in names}
