"""Figures while a run trains: they cost little, change nothing, and reach W&B and TensorBoard."""

from itertools import pairwise

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from lit_delays.data.datasets import Patterns
from lit_delays.data.module import SpikeData
from lit_delays.inspect import run_figures
from lit_delays.inspect.run_figures import LiveFigures, show
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.training.callbacks.delay_histograms import DelayHistograms
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.epoch_table import EpochTable


def train(folder, *callbacks):
    torch.manual_seed(0)
    config = NetworkConfig(num_inputs=20, num_classes=10, hidden_sizes=[4])
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        limit_train_batches=2,
        logger=EpochTable(folder),
        default_root_dir=folder,
        callbacks=[DelayHistograms(), *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        log_every_n_steps=1,
    )
    trainer.fit(DelayClassifier(config), datamodule=SpikeData(Patterns, batch_size=50))
    return (folder / "metrics.csv").read_bytes()


def test_a_run_that_is_drawn_is_the_same_run(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(run_figures, "draw_all", lambda *args: drawn.append(args[3].confusion.sum()) or [])
    monkeypatch.setattr(run_figures, "FIRST_GUESS_S", 0.0)
    monkeypatch.setattr(run_figures, "TIME_SHARE", 1e9)
    for name in ("alone", "drawn"):
        (tmp_path / name).mkdir()
    alone = train(tmp_path / "alone")
    assert drawn == []
    assert train(tmp_path / "drawn", LiveFigures()) == alone
    assert drawn == [200, 200]  # after each epoch but the last, whose figures are the run's own


def test_figures_are_of_all_samples_whatever_share_of_them_a_process_has():
    data = SpikeData(Patterns, batch_size=30)
    loader = data.val_dataloader()
    loader.sampler.rank, loader.sampler.world_size = 1, 2
    assert [len(batch.labels) for batch in run_figures.batches_of(loader)] == [30] * 6 + [20]


def test_figures_are_drawn_so_seldom_that_they_cost_two_percent(tmp_path, monkeypatch):
    now, drawn = [0.0], []
    monkeypatch.setattr(run_figures.time, "monotonic", lambda: now[0])

    def draw(*_):
        drawn.append(now[0])
        now[0] += 3.0

    monkeypatch.setattr(run_figures, "draw_run", draw)
    figures = LiveFigures()
    for _ in range(100):
        now[0] += 10.0
        figures.on_train_epoch_start(trainer := type("Trainer", (), {"current_epoch": 1})(), None)
    assert trainer.current_epoch == 1
    assert drawn[0] == pytest.approx(100.0)  # the first guess is two seconds
    gaps = [later - earlier - 3.0 for earlier, later in pairwise(drawn)]
    assert gaps == [pytest.approx(150.0)] * len(gaps)
    assert len(gaps) > 3


class Wandb(WandbLogger):
    def __init__(self):
        self.shown = []

    def log_image(self, key, images, **_):
        self.shown.append((key, images))


class Board(TensorBoardLogger):
    def __init__(self):
        self.shown = []

    @property
    def experiment(self):
        return self

    def add_image(self, tag, pixels, step, dataformats):
        self.shown.append((tag, pixels.shape, step, dataformats))


def test_figures_reach_wandb_and_tensorboard(tmp_path):
    picture = tmp_path / "delays.png"
    run_figures.matplotlib.image.imsave(picture, torch.rand(4, 5, 3).numpy())
    wandb, board = Wandb(), Board()
    for logger in (wandb, board, EpochTable(tmp_path)):
        show(logger, [picture], step=7)
    assert wandb.shown == [("figures/delays", [str(picture)])]
    assert board.shown == [("figures/delays", (4, 5, 3), 7, "HWC")]
