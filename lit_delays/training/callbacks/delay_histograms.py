"""Where the delays of every layer lie, epoch by epoch: `delays.csv`, a row an epoch and layer."""

import csv
import io
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from lit_delays.atomic_files import write_atomic
from lit_delays.errors import InputError
from lit_delays.metrics import delay_histogram
from lit_delays.training.classifier import network_of

FILE_NAME = "delays.csv"

Histograms = dict[str, dict[int, list[int]]]  # layer -> epochs trained -> synapses by delay in time steps


class DelayHistograms(Callback):
    """Counts, after every epoch, how many synapses of a layer have which deployed delay.

    The counts are written to ``delays.csv`` in the folder of the run: ``epoch`` is the number of epochs
    trained, so 0 is the start, and the columns are delays in time steps. The file is replaced as a whole, and
    a run that goes on begins with what it holds.

    Attributes:
        counts: All counts so far, in the first process.
    """

    def __init__(self) -> None:
        self.counts: Histograms = {}

    @override
    @rank_zero_only
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.counts = read_histograms(Path(trainer.default_root_dir) / FILE_NAME)

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
        for name, synapses in network_of(pl_module).named_synapses().items():
            if synapses.delay_kind != "none":
                earlier = {at: row for at, row in self.counts.get(name, {}).items() if at < epoch}
                self.counts[name] = earlier | {epoch: delay_histogram(synapses).tolist()}
        if self.counts:
            _write(Path(trainer.default_root_dir) / FILE_NAME, self.counts)


def read_histograms(path: Path) -> Histograms:
    """The counts at ``path``, nothing where there is no such file.

    Raises:
        InputError: If it is no such table.
    """
    found: Histograms = {}
    if not path.exists():
        return found
    try:
        with path.open(newline="") as file:
            for epoch, layer, *counts in list(csv.reader(file))[1:]:
                found.setdefault(layer, {})[int(epoch)] = [int(count) for count in counts if count]
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{path} must have a row of counts an epoch and layer, and is cut or edited; repeat the command"
            " of its run to make it again."
        ) from error
    return found


def _write(path: Path, histograms: Histograms) -> None:
    rows = sorted((epoch, name, count) for name, rows in histograms.items() for epoch, count in rows.items())
    lags = max(len(count) for *_, count in rows)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["epoch", "layer", *range(lags)])
    # a layer with a shorter window has empty cells at its end
    writer.writerows([epoch, name, *count, *[""] * (lags - len(count))] for epoch, name, count in rows)
    write_atomic(path, text.getvalue())
