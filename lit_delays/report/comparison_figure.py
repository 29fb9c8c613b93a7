"""The figure of an ablation: models side by side."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lit_delays.inspect.figures import COLOURS, save
from lit_delays.report.models import Model, class_name, options_of

MARKERS = "osD^"  # so that print without colour tells them apart
SPREAD = 0.34  # between the points of one model, in rows
BELOW = 0.11  # from a mean to its seeds, in rows


def draw_models(models: Sequence[Model], path: Path) -> Path:
    """Mean accuracy of every model with its 95 % interval, and its seeds as dots below.

    Models of one name share a row, and how many synapses a neuron has is told by colour and marker.
    """
    names = list(dict.fromkeys(model.name for model in models))
    kinds = list(dict.fromkeys(model.synapses for model in models))
    figure = Figure(figsize=(8, 1.5 + 0.5 * len(names)), layout="constrained")
    panel = figure.subplots()
    for index, kind in enumerate(kinds):
        shift = (index - (len(kinds) - 1) / 2) * SPREAD
        chosen = {names.index(model.name) + shift: model for model in models if model.synapses == kind}
        _draw(panel, chosen, f"synapses: {kind}", COLOURS[index % 4], MARKERS[index % 4])
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    panel.set_xlabel("test accuracy (%)" if models[0].metric == "acc" else "test NMSE (%)")
    panel.set_title(title(models), fontsize="medium")
    panel.grid(axis="x", alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower right", ncols=len(kinds), frameon=False)
    return save(figure, path)


def _draw(panel: Axes, models: dict[float, Model], label: str, colour: str, marker: str) -> None:
    for height, model in models.items():
        dots = [100 * accuracy for accuracy in model.accuracies]
        panel.plot(dots, [height + BELOW] * len(dots), ".", color=colour, alpha=0.5, markeredgewidth=0)
    means = [100 * model.accuracy for model in models.values()]
    ends = [[100 * end for end in model.interval] for model in models.values()]
    errors = [[mean - low for mean, (low, _) in zip(means, ends, strict=True)]]
    errors += [[high - mean for mean, (_, high) in zip(means, ends, strict=True)]]
    panel.errorbar(
        means,
        list(models),
        xerr=errors,
        label=label,
        color=colour,
        marker=marker,
        linestyle="none",
        capsize=3,
    )


def title(models: Sequence[Model]) -> str:
    """The data, and what a point is; files of one's own go by the name of the training file."""
    dataset = models[0].config["data"]["dataset"]
    file = options_of(dataset).get("train_file")
    data = Path(file).stem if file else class_name(dataset)
    seeds = sorted({len(model.results) for model in models})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return f"{data}: mean of {count} seed{'s' if seeds[-1] > 1 else ''}, 95 % interval"
