"""Figures of one run over its epochs: how it learned, and where its delays went."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lit_delays.snn.network import DelaySNN
from lit_delays.training.callbacks import named_delay_layers
from lit_delays.training.histograms import Histograms, delay_histogram
from lit_delays.writing import whole

matplotlib.use("Agg")  # runs have no screen

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, safe for the colour-blind
FORMATS = (".png", ".pdf", ".svg")
STYLES = ("-", "--", "-.", ":")

Rows = dict[int, dict[str, float]]  # epoch, from 0 -> its metrics


def draw_learning(rows: Rows, path: Path) -> Path:
    """Everything that was logged, over the epochs; what the run does not have, has no panel."""
    panels: list[tuple[str, str, dict[str, str], Callable[[Axes], object]]] = [
        ("accuracy", "share right", {"train/acc": "training", "val/acc": "validation"}, _from_zero_to_one),
        ("loss", "cross-entropy", {"train/loss": "training", "val/loss": "validation"}, _nothing),
        ("firing rate", "spikes per second and neuron", _layers(rows, "firing_rate/"), _from_zero),
        ("width of the soft delays", "sigma (time steps)", {"sigma": "sigma"}, _from_zero),
        ("learning rate", "rate (log scale)", _layers(rows, "lr/"), _logarithmic),
        ("movement of delays", "mean |change| (time steps)", _layers(rows, "delay_change/"), _from_zero),
    ]
    shown = [panel for panel in panels if any(name in row for row in rows.values() for name in panel[2])]
    columns = min(3, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(3.7 * columns, 2.9 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, (title, unit, names, shape) in zip(axes, shown, strict=False):
        _curves(axis, rows, names)
        axis.set(title=title, ylabel=unit)
        shape(axis)
    for axis in axes[len(shown) :]:
        axis.remove()
    for axis in axes[max(0, len(shown) - columns) : len(shown)]:
        axis.set_xlabel("epoch")
    return save(figure, path)


def draw_delays(network: DelaySNN, histograms: Histograms, path: Path) -> Path | None:
    """Where the delays of every layer moved over the epochs, and where they lie; None without delays.

    Args:
        network: Its delays are the last ones drawn.
        histograms: Those after every epoch, as a run keeps them; empty where they are not known.
        path: Where the figure goes.
    """
    layers = named_delay_layers(network)
    if network.config.delays == "none":
        return None
    lines = 2 if any(len(epochs) > 1 for epochs in histograms.values()) else 1
    figure = Figure(figsize=(max(7.0, 3.7 * len(layers)), 0.4 + 2.9 * lines), layout="constrained")
    axes = figure.subplots(lines, len(layers), squeeze=False)
    times = [lag * network.config.time_step_ms for lag in range(network.config.max_delay)]
    for column, (name, layer) in enumerate(layers.items()):
        epochs = histograms.get(name, {})
        start = _percent(epochs[0]) if 0 in epochs else None
        axes[0, column].set_title(f"{name}, {int(delay_histogram(layer).sum()):,} synapses")
        shares = _percent(delay_histogram(layer).tolist())
        _final(axes[-1, column], shares, start, times, label=network.config.delays)
    if lines == 2:
        _history(figure, axes[0], [histograms[name] for name in layers], times)
    for row, label in enumerate(("delay (ms)", "synapses (%)")[-lines:]):
        axes[row, 0].set_ylabel(label)
    return save(figure, path)


def _history(
    figure: Figure, axes: Sequence[Axes], layers: list[dict[int, list[int]]], times: list[float]
) -> None:
    """Heat maps of how much more of the synapses have a delay than at the start, on one scale."""
    changes = []
    for epochs in layers:
        shares = torch.tensor([_percent(counts) for _, counts in sorted(epochs.items())])
        changes.append(shares - shares[0])
    # the ends of the window may gather far more than any delay between them: they saturate
    inner = torch.cat([change[:, 1:-1].abs().flatten() for change in changes])
    limit = max(float(inner.max()) if inner.numel() else 0.0, 0.1)
    step = times[1] - times[0] if len(times) > 1 else 1.0
    for axis, change, epochs in zip(axes, changes, layers, strict=True):
        extent = (min(epochs) - 0.5, max(epochs) + 0.5, -step / 2, times[-1] + step / 2)
        image = axis.imshow(
            change.T.numpy(),
            cmap="PuOr_r",
            vmin=-limit,
            vmax=limit,
            origin="lower",
            extent=extent,
            aspect="auto",
        )
        axis.set_xlabel("epochs trained")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    bar = figure.colorbar(image, ax=list(axes), pad=0.01, extend="both")
    bar.set_label("change since the start\n(% of synapses)")


def _final(
    axis: Axes, shares: list[float], start: list[float] | None, times: list[float], label: str
) -> None:
    step = times[1] - times[0] if len(times) > 1 else 1.0
    edges = [time - step / 2 for time in [*times, times[-1] + step]]
    axis.stairs(shares, edges, fill=True, color=COLOURS[0], alpha=0.8, label=label)
    if start is not None:
        axis.stairs(start, edges, color=COLOURS[1], linewidth=1.3, label="start")
        axis.legend(frameon=False, ncols=2, loc="upper left", fontsize="small")
    axis.set_xlabel("delay (ms)")
    axis.set_ylim(0, 1.3 * max(shares + (start or [])))
    axis.spines[["top", "right"]].set_visible(False)


def _percent(counts: Sequence[int]) -> list[float]:
    return [100 * count / max(sum(counts), 1) for count in counts]


def _layers(rows: Rows, prefix: str) -> dict[str, str]:
    names = sorted({name for row in rows.values() for name in row if name.startswith(prefix)})
    return {name: name.removeprefix(prefix) for name in names}


def _curves(panel: Axes, rows: Rows, names: dict[str, str]) -> None:
    for place, (name, label) in enumerate(names.items()):
        points = [(epoch + 1, row[name]) for epoch, row in sorted(rows.items()) if name in row]
        if points:
            colour, style = COLOURS[place % 4], STYLES[place % 4]
            marker = "." if len(points) < 3 else None
            panel.plot(*zip(*points, strict=True), style, marker=marker, label=label, color=colour)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        panel.legend(frameon=False, fontsize="small")


def _from_zero_to_one(panel: Axes) -> None:
    panel.set_ylim(0, 1.02)


def _from_zero(panel: Axes) -> None:
    panel.set_ylim(bottom=0)


def _logarithmic(panel: Axes) -> None:
    panel.set_yscale("log")
    panel.minorticks_off()
    panel.set_ylim(bottom=panel.get_ylim()[1] * 1e-5)  # the last epoch's would take half the panel


def _nothing(panel: Axes) -> None:
    """The scale that matplotlib chooses."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all, in the format that its name ends in, one of ``FORMATS``."""
    with whole(path) as place:
        figure.savefig(place, dpi=150, format=path.suffix[1:].lower())
    return path
