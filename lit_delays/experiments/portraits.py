"""Figures of a network at work: what it confuses, and one sample from its input to the decision."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lit_delays.experiments.evidence import Evidence, Sample
from lit_delays.experiments.figures import COLOURS, save
from lit_delays.snn.decisions import class_scores
from lit_delays.snn.network import NetworkConfig

GREY = "#999999"
READABLE = 15  # classes whose shares can be written into a matrix


def draw_confusion(evidence: Evidence, names: Sequence[str], path: Path) -> Path:
    """How often each class is taken for each other, in percent of its samples."""
    counts = evidence.confusion
    shares = 100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    size = min(11.0, 3.4 + 0.3 * len(names))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(shares.numpy(), cmap="cividis", vmin=0, vmax=100)
    font = "medium" if len(names) <= READABLE else "small"
    panel.set_xticks(range(len(names)), names, rotation=90 if _is_long(names) else 0, fontsize=font)
    panel.set_yticks(range(len(names)), names, fontsize=font)
    panel.set(xlabel="answer", ylabel="class")
    panel.set_title(f"{evidence.accuracy:.1%} of {int(counts.sum()):,} samples right")
    if len(names) <= READABLE:
        _write_shares(panel, shares)
    figure.colorbar(image, ax=panel, shrink=0.8, label="samples of the class (%)")
    return save(figure, path)


def _write_shares(panel: Axes, shares: Tensor) -> None:
    for row, column in (shares >= 0.5).nonzero().tolist():
        share = float(shares[row, column])
        colour = "black" if share > 50 else "white"
        panel.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize="small")


def draw_sample(sample: Sample, config: NetworkConfig, names: Sequence[str], path: Path) -> Path:
    """Spikes of one sample through all layers, and how its decision comes about; one axis of time."""
    heights = [2, *[1.5] * len(sample.spikes), 1.7, 1.7]
    figure = Figure(figsize=(8, 1.25 * sum(heights) * 0.62 + 0.8), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    step = config.time_step_ms
    _raster(axes[0], sample.counts, step, "input\nchannel")
    for index, (axis, spikes) in enumerate(zip(axes[1:-2], sample.spikes, strict=True)):
        _raster(axis, spikes, step, f"hidden{index + 1}\nneuron")
    scores = [
        class_scores(sample.readout[: end + 1, None], config.decision)[0]
        for end in range(len(sample.readout))
    ]
    answer = int(scores[-1].argmax())
    _lines(axes[-2], sample.readout, sample.label, answer, names, step)
    axes[-2].set_ylabel("readout\nvoltage")
    lead = torch.stack(scores)
    _lines(axes[-1], lead - lead.mean(dim=1, keepdim=True), sample.label, answer, names, step)
    axes[-1].set(ylabel=f"{config.decision} so far\n(above mean)", xlabel="time (ms)")
    axes[-1].set_xlim(0, step * len(sample.readout))
    axes[-1].legend(frameon=False, fontsize="small", loc="upper left")
    verdict = "right" if answer == sample.label else "wrong"
    figure.suptitle(f"a sample of {names[sample.label]!r}, taken for {names[answer]!r}: {verdict}")
    figure.align_ylabels()
    return save(figure, path)


def _raster(axis: Axes, spikes: Tensor, step: float, label: str) -> None:
    at, neuron = spikes.nonzero(as_tuple=True)
    axis.scatter(
        (at + 0.5) * step,
        neuron,
        s=2,
        marker="|" if spikes.shape[1] < 50 else ".",
        color="black",
        linewidths=0.6,
    )
    axis.set(ylabel=label, ylim=(-0.5, spikes.shape[1] - 0.5))
    axis.axvline(len(spikes) * step, color=GREY, linewidth=0.8, linestyle=":")
    axis.spines[["top", "right"]].set_visible(False)


def _lines(axis: Axes, values: Tensor, label: int, answer: int, names: Sequence[str], step: float) -> None:
    times = [(index + 1) * step for index in range(len(values))]
    for k in range(values.shape[1]):
        if k not in (label, answer):
            axis.plot(times, values[:, k], color=GREY, linewidth=0.6, alpha=0.7)
    axis.plot(times, values[:, label], color=COLOURS[0], linewidth=1.8, label=f"class: {names[label]}")
    if answer != label:
        axis.plot(
            times, values[:, answer], "--", color=COLOURS[1], linewidth=1.8, label=f"answer: {names[answer]}"
        )
    axis.spines[["top", "right"]].set_visible(False)


def _is_long(names: Sequence[str]) -> bool:
    return max(map(len, names)) > 3
