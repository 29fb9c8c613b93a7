"""Figures of one run, for the folder of the run."""

from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lit_delays.snn.network import DelaySNN
from lit_delays.training.callbacks import named_delay_layers
from lit_delays.training.table import read_table

matplotlib.use("Agg")  # runs have no screen

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, safe for the colour-blind


def draw_learning(run_dir: Path) -> Path:
    """Accuracy, loss, and how far delays moved, over the epochs; returns the path of ``learning.png``."""
    rows = read_table(run_dir / "metrics.csv")
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    _curves(panels[0], rows, {"train/acc": "training", "val/acc": "validation"}, "accuracy")
    _curves(panels[1], rows, {"train/loss": "training", "val/loss": "validation"}, "loss")
    moved = {name: name.split("/")[1] for name in _columns(rows) if name.startswith("delay_change/")}
    if moved:
        _curves(panels[2], rows, moved, "movement of delays in an epoch")
        panels[2].set_ylabel("mean |change| (time steps)")
    else:
        rates = {name: name.split("/")[1] for name in _columns(rows) if name.startswith("firing_rate/")}
        _curves(panels[2], rows, rates, "firing rate")
        panels[2].set_ylabel("spikes per second and neuron")
    panels[0].set_ylim(0, 1.02)
    return _save(figure, run_dir / "learning.png")


def draw_delays(network: DelaySNN, run_dir: Path) -> Path | None:
    """Histogram of every layer's deployed delays; returns the path of ``delays.png``, None without delays."""
    layers = named_delay_layers(network)
    if network.config.delays == "none":
        return None
    figure = Figure(figsize=(3.6 * len(layers), 3.2), layout="constrained")
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for panel, (name, layer) in zip(panels, layers.items(), strict=True):
        assert layer.delay is not None
        exists = torch.ones_like(layer.delay, dtype=torch.bool) if layer.mask is None else layer.mask
        lags = torch.bincount(layer.delay.detach()[exists].round().long(), minlength=layer.max_delay)
        times = [lag * network.config.time_step_ms for lag in range(layer.max_delay)]
        shares = (100 * lags / lags.sum()).tolist()
        panel.bar(times, shares, width=0.9 * network.config.time_step_ms, color=COLOURS[0])
        panel.set(title=name, xlabel="delay (ms)", ylabel="synapses (%)")
    return _save(figure, run_dir / "delays.png")


def _columns(rows: dict[int, dict[str, float]]) -> list[str]:
    return sorted({name for row in rows.values() for name in row})


def _curves(panel: Axes, rows: dict[int, dict[str, float]], names: dict[str, str], title: str) -> None:
    for (name, label), colour in zip(names.items(), COLOURS * 3, strict=False):
        points = [(epoch + 1, row[name]) for epoch, row in rows.items() if name in row]
        if points:
            panel.plot(*zip(*points, strict=True), label=label, color=colour)
    panel.set(title=title, xlabel="epoch")
    panel.grid(alpha=0.3)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(frameon=False)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=150)
    return path
