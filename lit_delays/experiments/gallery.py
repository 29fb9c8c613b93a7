"""All figures of a run: while it trains, at its end, and from a checkpoint."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import matplotlib.image
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader
from typing_extensions import override

from lit_delays.experiments.evidence import Evidence, observe
from lit_delays.experiments.figures import draw_delays, draw_learning
from lit_delays.experiments.portraits import draw_confusion, draw_sample
from lit_delays.snn.network import DelaySNN
from lit_delays.training.callbacks import network_of
from lit_delays.training.doctor import DelayDoctor, Rows, read_run
from lit_delays.training.histograms import DelayHistograms, Histograms

TIME_SHARE = 0.02  # of the training that drawing may take
FIRST_GUESS_S = 2.0  # what drawing takes, until it was measured


class LiveFigures(Callback):
    """Draws the figures of a run while it trains, into its folder and to W&B and TensorBoard.

    Not after every epoch: so seldom that it takes 2 % of the time. It draws no random number: a run that is
    watched is the same run.
    """

    def __init__(self) -> None:
        self._cost, self._drawn = FIRST_GUESS_S, time.monotonic()

    @override
    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0:  # only now the table has all of the epoch before
            return
        started = time.monotonic()
        if (started - self._drawn) * TIME_SHARE >= self._cost:
            draw_run(trainer, pl_module)
            self._drawn = time.monotonic()
            self._cost = self._drawn - started


def watchers() -> list[Callback]:
    """Callbacks that look after a run while it trains."""
    return [DelayHistograms(), DelayDoctor(), LiveFigures()]


def draw_run(trainer: pl.Trainer, module: pl.LightningModule) -> list[Path]:
    """Draw a run as its folder and its network are now; the confusion is that of the validation set."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    network = network_of(module).to(trainer.strategy.root_device)
    evidence = observe(network, batches_of(data.val_dataloader()))
    run_dir = Path(trainer.default_root_dir)
    paths = draw_all(network, *read_run(run_dir), evidence, data.class_names, run_dir)
    for logger in trainer.loggers:
        show(logger, paths, trainer.global_step)
    return paths


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """Batches of a loader, made here and now: the loader itself would draw a random number."""
    assert loader.sampler is not None
    return (loader.dataset[places] for places in loader.sampler)


def draw_all(
    network: DelaySNN,
    rows: Rows,
    histograms: Histograms,
    evidence: Evidence | None,
    names: Sequence[str],
    folder: Path,
) -> list[Path]:
    """Draw every figure for which there is something to draw; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [draw_learning(rows, folder / "learning.png") if rows else None]
    figures.append(draw_delays(network, histograms, folder / "delays.png"))
    if evidence is not None:
        figures.append(draw_confusion(evidence, names, folder / "confusion.png"))
        figures.append(draw_sample(evidence.sample, network.config, names, folder / "sample.png"))
    return [path for path in figures if path is not None]


def show(logger: Logger, figures: Sequence[Path], step: int) -> None:
    """Hand figures over to W&B or TensorBoard; other loggers have the numbers alone."""
    for path in figures:
        if isinstance(logger, WandbLogger):
            logger.log_image(f"figures/{path.stem}", [str(path)])
        elif isinstance(logger, TensorBoardLogger):
            pixels = matplotlib.image.imread(path)[..., :3]
            logger.experiment.add_image(f"figures/{path.stem}", pixels, step, dataformats="HWC")
