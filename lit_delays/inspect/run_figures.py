"""All figures of a run: while it trains, at its end, and from a checkpoint."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import matplotlib.image
import numpy as np
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader
from typing_extensions import override

from lit_delays.data.sampler import EpochSampler
from lit_delays.inspect.figures import draw_delays, draw_learning
from lit_delays.inspect.neuron_figures import draw_time_constants
from lit_delays.inspect.observation import Observation, observe
from lit_delays.inspect.sample_figures import draw_confusion, draw_sample
from lit_delays.inspect.task_figures import draw_forecast, draw_labels
from lit_delays.snn.network import Network
from lit_delays.training.callbacks.delay_doctor import DelayDoctor, records_of
from lit_delays.training.callbacks.delay_histograms import DelayHistograms, Histograms
from lit_delays.training.classifier import network_of
from lit_delays.training.epoch_table import Rows

TIME_SHARE = 0.02  # of the training that drawing may take
FIRST_GUESS_S = 2.0  # what drawing takes, until it was measured


class LiveFigures(Callback):
    """Draws the figures of a run while it trains, into its folder and to W&B and TensorBoard.

    Not after every epoch: so seldom that it takes 2 % of the time. It draws no random number: a run whose
    figures are drawn is the same run.
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


def diagnostics() -> list[Callback]:
    """Callbacks that look after a run while it trains."""
    return [DelayHistograms(), DelayDoctor(), LiveFigures()]


def draw_run(trainer: pl.Trainer, module: pl.LightningModule) -> list[Path]:
    """Draw a run as it is now, on the rank that has its table; samples are the whole validation set."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    network = network_of(module).to(trainer.strategy.root_device)
    observation = observe(network, batches_of(data.val_dataloader()), module.task)  # type: ignore[arg-type]
    paths = draw_all(
        network, *records_of(trainer), observation, data.class_names, Path(trainer.default_root_dir)
    )
    for logger in trainer.loggers:
        show(logger, paths, trainer.global_step)
    return paths


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """All samples of a loader in their order, batch by batch, whatever share of them a rank has.

    Made here and now: the loader itself would draw a random number.
    """
    samples: Any = loader.dataset
    assert isinstance(loader.sampler, EpochSampler)
    size, order = loader.sampler.batch_size, np.arange(len(samples))
    return (samples[order[first : first + size]] for first in range(0, len(order), size))


def draw_all(
    network: Network,
    rows: Rows,
    histograms: Histograms,
    observation: Observation | None,
    names: Sequence[str],
    folder: Path,
) -> list[Path]:
    """Draw every figure for which there is something to draw; returns their paths."""
    names = [f"{name:.40}".replace("$", r"\$") for name in names]  # no formula, no name across the page
    figures = [draw_learning(rows, folder / "learning.png")]
    figures.append(draw_delays(network, histograms, folder / "delays.png"))
    figures.append(draw_time_constants(network, folder / "time_constants.png"))
    if observation is not None:
        figures += _of_task(network, observation, names, folder)
    return [path for path in figures if path is not None]


def _of_task(network: Network, observation: Observation, names: Sequence[str], folder: Path) -> list[Path]:
    """What the network gets right, and one sample, or a forecast, as the task has them."""
    if observation.confusion is None:
        return [draw_forecast(observation, names, folder / "forecast.png")]
    figures = [draw_confusion(observation, names, folder / "confusion.png")]
    if observation.sample.label is None:
        return [*figures, draw_labels(observation, network.config, names, folder / "labels.png")]
    return [*figures, draw_sample(observation.sample, network.config, names, folder / "sample.png")]


def show(logger: Logger, figures: Sequence[Path], step: int) -> None:
    """Hand figures over to W&B or TensorBoard; other loggers have the numbers alone."""
    for path in figures:
        if isinstance(logger, WandbLogger):
            logger.log_image(f"figures/{path.stem}", [str(path)])
        elif isinstance(logger, TensorBoardLogger):
            pixels = matplotlib.image.imread(path)[..., :3]
            logger.experiment.add_image(f"figures/{path.stem}", pixels, step, dataformats="HWC")
