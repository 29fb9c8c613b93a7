"""Figures of a network at work: what it confuses, and one sample from its input to the decision."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from lit_delays.inspect.figures import COLOURS, save
from lit_delays.inspect.observation import Observation, Sample
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.readout import RunningScores

GREY = "#999999"
READABLE = 15  # classes whose shares can be written into a matrix


def draw_confusion(observation: Observation, names: Sequence[str], path: Path) -> Path:
    """How often each class is taken for each other, in percent of its samples."""
    counts = observation.confusion
    assert counts is not None
    shares = 100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    size = min(11.0, 3.4 + 0.3 * len(names))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(shares.numpy(), cmap="cividis", vmin=0, vmax=100)
    font = "medium" if len(names) <= READABLE else "small"
    panel.set_xticks(range(len(names)), names, rotation=90 if _is_long(names) else 0, fontsize=font)
    panel.set_yticks(range(len(names)), names, fontsize=font)
    panel.set(xlabel="answer", ylabel="class")
    what = "samples" if int(counts.sum()) == observation.num_samples else "steps"
    panel.set_title(f"{observation.accuracy:.1%} of {int(counts.sum()):,} {what} right")
    if len(names) <= READABLE:
        _write_shares(panel, shares)
    figure.colorbar(image, ax=panel, shrink=0.8, label=f"{what} of the class (%)")
    return save(figure, path)


def _write_shares(panel: Axes, shares: Tensor) -> None:
    for row, column in (shares >= 0.5).nonzero().tolist():
        share = float(shares[row, column])
        colour = "black" if share > 50 else "white"
        text = panel.text(
            column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize="small"
        )
        text.set_in_layout(False)  # it lies inside its panel; measuring each takes seconds


def draw_sample(sample: Sample, config: NetworkConfig, names: Sequence[str], path: Path) -> Path:
    """One sample through all layers, and how its decision comes about; one axis of time.

    Spikes are dots; outputs that are no whole numbers, such as those of units that do not spike, are grey.
    """
    heights = [2, *[1.5] * len(sample.outputs), 1.7, 1.7]
    figure = Figure(figsize=(8, 1.25 * sum(heights) * 0.62 + 0.8), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    step = config.time_step_ms
    _activity(figure, axes[0], sample.counts, step, "input\nchannel")
    for axis, (name, output) in zip(axes[1:-2], sample.outputs.items(), strict=True):
        _activity(figure, axis, output, step, f"{name}\nneuron")
    assert sample.label is not None
    running = RunningScores(config.decision)
    scores = torch.stack([running.add(readout) for readout in sample.readout])
    answer, decision = int(scores[-1].argmax()), config.decision.replace("_", " ")
    for axis, values, label in (
        (axes[-2], sample.readout, "readout\noutput"),
        (axes[-1], scores - scores.mean(dim=1, keepdim=True), f"{decision} so far\n(above mean)"),
    ):
        _lines(axis, values, sample.label, answer, names, step)
        axis.set_ylabel(label)
    since = step * _settled(scores.argmax(dim=1))
    axes[-1].axvline(since, color="black", linewidth=0.8, linestyle="--")
    axes[-1].set(xlabel="time (ms)", xlim=(0, step * len(scores)))
    handles, labels = axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=len(labels))
    answered = f"taken for {names[answer]!r}" if answer != sample.label else "recognised"
    figure.suptitle(f"a sample of {names[sample.label]!r}, {answered} from {since:g} ms on")
    figure.align_ylabels()
    return save(figure, path)


def _settled(leaders: Tensor) -> int:
    """Steps after which the last leader leads for good."""
    others = (leaders != leaders[-1]).nonzero()
    return int(others.max()) + 2 if len(others) else 1


def _activity(figure: Figure, axis: Axes, x: Tensor, step: float, label: str) -> None:
    """Input or output of neurons over time, shape ``(T, N)``."""
    num_steps, num_neurons = x.shape
    if bool((x == x.round()).all()):
        at, neuron = x.nonzero(as_tuple=True)
        size = min(12.0, max(1.5, 300 / num_neurons))
        axis.scatter((at + 0.5) * step, neuron, s=size, marker="o", color="black", linewidths=0)
    else:
        extent = (0, num_steps * step, -0.5, num_neurons - 0.5)
        image = axis.imshow(x.T.numpy(), cmap="Greys", origin="lower", extent=extent, aspect="auto")
        figure.colorbar(image, ax=axis, pad=0.01)
    axis.set(ylabel=label, ylim=(-1, num_neurons))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axis.axvline(num_steps * step, color=GREY, linewidth=0.8, linestyle=":")  # where its steps end
    axis.spines[["top", "right"]].set_visible(False)


def _lines(axis: Axes, values: Tensor, label: int, answer: int, names: Sequence[str], step: float) -> None:
    times = [(index + 1) * step for index in range(len(values))]
    for k in range(values.shape[1]):
        if k not in (label, answer):
            axis.plot(times, values[:, k], color=GREY, linewidth=0.6, alpha=0.7)
    axis.plot(times, values[:, label], color=COLOURS[0], linewidth=1.8, label=f"its class, {names[label]}")
    if answer != label:
        wrong = f"the answer, {names[answer]}"
        axis.plot(times, values[:, answer], "--", color=COLOURS[1], linewidth=1.8, label=wrong)
    axis.plot([], [], color=GREY, linewidth=0.6, label="other classes")
    axis.spines[["top", "right"]].set_visible(False)


def _is_long(names: Sequence[str]) -> bool:
    return max(map(len, names)) > 3
