"""Figures of one run over its epochs: how it learned, and where its delays went."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lit_delays.atomic_files import write_atomic
from lit_delays.metrics import delay_histogram
from lit_delays.snn.network import Network
from lit_delays.training.callbacks.delay_histograms import Histograms
from lit_delays.training.epoch_table import Rows

matplotlib.use("Agg")  # runs have no screen

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's, safe for the colour-blind
FORMATS = (".png", ".pdf", ".svg")
STYLES = ("-", "--", "-.", ":")


def draw_learning(rows: Rows, path: Path) -> Path | None:
    """What was logged, over the epochs; what the run does not have, has no panel. None without any."""
    panels: list[tuple[str, str, dict[str, str], Callable[[Axes], object]]] = [
        ("accuracy", "share right", {"train/acc": "training", "val/acc": "validation"}, _from_zero_to_one),
        ("error", "NMSE", {"train/nmse": "training", "val/nmse": "validation"}, _from_zero),
        ("loss", "cross-entropy", {"train/loss": "training", "val/loss": "validation"}, _nothing),
        ("firing rate", "spikes per second and neuron", _by_layer(rows, "firing_rate/"), _from_zero),
        ("width of the soft delays", "sigma (time steps)", {"sigma": "sigma"}, _from_zero),
        ("learning rate", "rate (log scale)", _by_layer(rows, "lr/"), _logarithmic),
        ("movement of delays", "mean |change| (time steps)", _by_layer(rows, "delay_change/"), _from_zero),
        ("delay window", "length (time steps)", _by_layer(rows, "window/"), _from_zero),
    ]
    shown = [panel for panel in panels if any(name in row for row in rows.values() for name in panel[2])]
    if not shown:
        return None
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


def draw_delays(network: Network, histograms: Histograms, path: Path) -> Path | None:
    """Where the delays of every layer moved over the epochs, and where they lie; None without delays.

    Args:
        network: Its delays are the last ones drawn.
        histograms: Those after every epoch, as a run keeps them; empty where they are not known.
        path: Where the figure goes.
    """
    layers = {name: it for name, it in network.named_synapses().items() if it.num_lags > 1}
    if not layers:
        return None
    histories = {name: epochs for name, epochs in histograms.items() if name in layers and len(epochs) > 1}
    lines, step_ms = 2 if histories else 1, network.config.time_step_ms
    figure = Figure(figsize=(max(7.0, 3.7 * len(layers)), 0.4 + 2.9 * lines), layout="constrained")
    axes = figure.subplots(lines, len(layers), squeeze=False)
    columns = dict(zip(layers, axes.T, strict=True))
    for name, synapses in layers.items():
        counts, start = delay_histogram(synapses).tolist(), histograms.get(name, {}).get(0)
        columns[name][0].set_title(f"{name.replace('_', ', ')}, {sum(counts):,} synapses")
        if start is not None:  # a window that follows its delays was another one then
            counts, start = _of_one_length([counts, start])
        _final(columns[name][-1], counts, start, step_ms, label=synapses.delay_kind)
    if histories:
        _history(figure, {columns[name][0]: epochs for name, epochs in histories.items()}, step_ms)
    for row, label in enumerate(("delay (ms)", "synapses (%)")[-lines:]):
        axes[row, 0].set_ylabel(label)
    return save(figure, path)


def _history(figure: Figure, layers: dict[Axes, dict[int, list[int]]], step_ms: float) -> None:
    """Heat maps of how much more of the synapses have a delay than at the start, on one scale."""
    changes = {}
    for axis, epochs in layers.items():
        rows = _of_one_length([counts for _, counts in sorted(epochs.items())])
        shares = torch.tensor([_percent(counts) for counts in rows])
        changes[axis] = shares - shares[0]
    # the ends of the window may gather far more than any delay between them: they saturate
    inner = torch.cat([change[:, 1:-1].abs().flatten() for change in changes.values()])
    limit = max(float(inner.max()) if inner.numel() else 0.0, 0.1)
    for axis, change in changes.items():
        first, last = min(layers[axis]), max(layers[axis])
        image = axis.imshow(
            change.T.numpy(),
            cmap="PuOr_r",
            vmin=-limit,
            vmax=limit,
            origin="lower",
            extent=(first - 0.5, last + 0.5, -step_ms / 2, (change.shape[1] - 0.5) * step_ms),
            aspect="auto",
        )
        axis.set_xlabel("epochs trained")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    bar = figure.colorbar(image, ax=list(layers), pad=0.01, extend="both")
    bar.set_label("change since the start\n(% of synapses)")


def _of_one_length(rows: list[list[int]]) -> list[list[int]]:
    """Counts by lag, with zeros up to the longest window."""
    longest = max(map(len, rows))
    return [[*counts, *[0] * (longest - len(counts))] for counts in rows]


def _final(axis: Axes, counts: list[int], start: list[int] | None, step_ms: float, label: str) -> None:
    edges = [(lag - 0.5) * step_ms for lag in range(len(counts) + 1)]
    axis.stairs(_percent(counts), edges, fill=True, color=COLOURS[0], alpha=0.8, label=label)
    if start is not None:
        axis.stairs(_percent(start), edges, color=COLOURS[1], linewidth=1.3, label="start")
        axis.legend(frameon=False, ncols=2, loc="upper left", fontsize="small")
    axis.set_xlabel("delay (ms)")
    axis.set_ylim(0, max(1.0, 1.3 * max(_percent(counts) + _percent(start or []))))
    axis.spines[["top", "right"]].set_visible(False)


def _percent(counts: Sequence[int]) -> list[float]:
    return [100 * count / max(sum(counts), 1) for count in counts]


def _by_layer(rows: Rows, prefix: str) -> dict[str, str]:
    names = sorted({name for row in rows.values() for name in row if name.startswith(prefix)})
    return {name: name.removeprefix(prefix) for name in names}


def _curves(panel: Axes, rows: Rows, names: dict[str, str]) -> None:
    for index, (name, label) in enumerate(names.items()):
        points = [(epoch + 1, row[name]) for epoch, row in sorted(rows.items()) if name in row]
        if points:
            colour, style = COLOURS[index % 4], STYLES[index % 4]
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
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix[1:].lower())
    write_atomic(path, content.getvalue())
    return path
