"""Where the delays of every layer lie, epoch by epoch: `delays.csv`, a row an epoch and layer."""

import csv
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from typing_extensions import override

from lit_delays.snn.delays import DelayedLinear
from lit_delays.training.callbacks import named_delay_layers, network_of
from lit_delays.writing import whole

FILE_NAME = "delays.csv"

Histograms = dict[str, dict[int, list[int]]]  # layer -> epochs trained -> synapses by delay in time steps


class DelayHistograms(Callback):
    """Counts, after every epoch, how many synapses of a layer have which deployed delay.

    The counts are kept in ``delays.csv`` in the folder of the run: ``epoch`` is the number of epochs trained,
    so 0 is the start, and the columns are delays in time steps. The file is replaced as a whole, and a
    resumed run goes on from the epoch at which it resumes.
    """

    @override
    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0:
            self._count(trainer, pl_module, epoch=0)

    @override
    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._count(trainer, pl_module, epoch=trainer.current_epoch + 1)

    def _count(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        layers = named_delay_layers(network_of(pl_module))
        counts = {name: delay_histogram(layer) for name, layer in layers.items() if layer.delay is not None}
        path = Path(trainer.default_root_dir) / FILE_NAME
        known = read_histograms(path)
        for name, count in counts.items():
            earlier = {at: row for at, row in known.get(name, {}).items() if at < epoch}
            known[name] = earlier | {epoch: count.tolist()}
        if counts:
            _write(path, known)


def delay_histogram(layer: DelayedLinear) -> Tensor:
    """Synapses of a layer by their deployed delay in time steps, shape ``(max_delay,)``.

    Example:
        >>> layer = DelayedLinear(3, 1, max_delay=3)
        >>> _ = layer.delay.data.copy_(torch.tensor([[[0.2], [1.9], [2.0]]]))
        >>> delay_histogram(layer)
        tensor([1, 0, 2])
    """
    assert layer.delay is not None
    exists = torch.ones_like(layer.delay, dtype=torch.bool) if layer.mask is None else layer.mask
    lags = layer.delay.detach()[exists].round().long()
    return torch.bincount(lags.cpu(), minlength=layer.max_delay)


def read_histograms(path: Path) -> Histograms:
    """The counts at ``path``, nothing where there is no such file."""
    found: Histograms = {}
    if path.exists():
        with path.open(newline="") as file:
            for epoch, layer, *counts in list(csv.reader(file))[1:]:
                found.setdefault(layer, {})[int(epoch)] = [int(count) for count in counts]
    return found


def _write(path: Path, histograms: Histograms) -> None:
    lags = len(next(iter(next(iter(histograms.values())).values())))
    rows = sorted((epoch, name, *count) for name, rows in histograms.items() for epoch, count in rows.items())
    with whole(path) as place, place.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "layer", *range(lags)])
        writer.writerows(rows)
