"""Figures of tasks that ask for more than a class: labels along a sample, forecasts against the truth."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lit_delays.inspect.figures import COLOURS, save
from lit_delays.inspect.observation import Observation
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.tasks import IGNORE

SHOWN = 300  # samples, or steps, of a forecast


def draw_labels(observation: Observation, config: NetworkConfig, names: Sequence[str], path: Path) -> Path:
    """The first sample up to its last label: its input, and the class of every step, asked and answered."""
    answer, target = (pair[0] for pair in observation.pairs)
    shown = int((target != IGNORE).nonzero().max()) + 1 if bool((target != IGNORE).any()) else len(target)
    answer, target = answer[:shown].argmax(dim=-1), target[:shown]
    times = config.time_step_ms * torch.arange(len(target))
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.4])
    _inputs(above, observation.sample.counts[: len(target)], times)
    asked = target != IGNORE
    below.scatter(times[asked], target[asked] + 0.14, s=5, color=COLOURS[0], label="asked")
    below.scatter(times[asked], answer[asked] - 0.14, s=5, color=COLOURS[1], label="answered")
    below.set_yticks(range(len(names)), names)
    below.set(xlabel="time (ms)", ylabel="class", ylim=(-0.6, len(names) - 0.4))
    below.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    right = float((answer == target)[asked].float().mean())
    above.set_title(f"{right:.1%} of the {int(asked.sum()):,} labelled steps of a sample right")
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
    return save(figure, path)


def _inputs(axis: Axes, counts: torch.Tensor, times: torch.Tensor) -> None:
    axis.set_ylabel("input\nchannel")
    step, channel = counts.nonzero(as_tuple=True)
    value = counts[step, channel]
    axis.scatter(times[step], channel, s=3, c=value, cmap="coolwarm", vmin=-1, vmax=1)
    axis.set_ylim(-0.5, counts.shape[1] - 0.5)


def draw_forecast(observation: Observation, names: Sequence[str], path: Path) -> Path:
    """Forecasts and the truth, sample after sample (or step after step of one), and one against the other."""
    answer, target = observation.pairs
    if answer.ndim == 3:
        answer, target = answer[0], target[0]
    known = target.isfinite().all(dim=-1)
    answer, target = answer[known], target[known]
    figure = Figure(figsize=(10, 2.9 * len(names) + 0.4), layout="constrained")
    axes = figure.subplots(len(names), 2, squeeze=False, width_ratios=[2.4, 1])
    for (left, right), name, guess, truth in zip(axes, names, answer.T, target.T, strict=True):
        left.plot(truth[:SHOWN], color=COLOURS[0], linewidth=1.6, label="truth")
        left.plot(guess[:SHOWN], color=COLOURS[1], linewidth=1.1, label="forecast")
        left.set(xlabel="sample" if observation.pairs[0].ndim == 2 else "step", ylabel=name)
        left.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
        right.scatter(truth, guess, s=4, color=COLOURS[1], linewidths=0, alpha=0.6)
        ends = [float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))]
        right.plot(ends, ends, color="black", linewidth=0.8)
        right.set(xlabel="truth", ylabel="forecast")
        error = float((guess - truth).square().sum() / (truth - truth.mean()).square().sum())
        right.set_title(f"NMSE {error:.3g}", fontsize="medium")
        for axis in (left, right):
            axis.spines[["top", "right"]].set_visible(False)
    return save(figure, path)
