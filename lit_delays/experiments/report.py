"""Finished runs side by side: a Markdown table, and a figure of models."""

from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

import yaml

from lit_delays.errors import InputError
from lit_delays.experiments import manifest
from lit_delays.experiments.arguments import Arguments
from lit_delays.experiments.comparison import draw_models
from lit_delays.experiments.figures import FORMATS
from lit_delays.experiments.models import Model, load_models
from lit_delays.experiments.results import FILE_NAME, Result, interval
from lit_delays.writing import write_whole

HEADER = "| run | delays | test accuracy | 95 % interval | epoch | chosen by | parameters | minutes |"
MODELS_HEADER = (
    "| model | synapses | test accuracy | 95 % interval | at the last epoch | seeds | parameters | chosen by"
    " | minutes |"
)
FIGURES = ("learning.png", "delays.png")


def report(args: list[str]) -> None:
    """Print a table of finished runs.

    Folders of runs give a row a run. A folder of a sweep, ``--table`` or ``--figure`` gives a row a model:
    the mean over its seeds with Student's 95 % interval, never narrower than Wilson's over the test samples.
    """
    parser = Arguments(prog="lit_delays report", description=report.__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs, or of sweeps")
    parser.add_argument("--table", type=Path, metavar="FILE.md", help="also write the table of models here")
    parser.add_argument(
        "--figure", type=_figure, metavar="FILE", help="draw the models here: .png, .pdf or .svg"
    )
    options = parser.parse_args(args)
    runs = [run for folder in options.runs for run in find_runs(folder)]
    if runs == options.runs and not (options.table or options.figure):
        figures = [folder / name for folder in runs for name in FIGURES if (folder / name).exists()]
        print("\n".join(["", *table(HEADER, [row(folder) for folder in runs]), "", *map(str, figures)]))
        return
    models = load_models(runs)
    lines = table(MODELS_HEADER, [model_row(model) for model in models])
    print("\n".join(["", *lines, ""]))
    if options.table:
        write_whole(options.table, "\n".join(lines) + "\n")
    if options.figure:
        print(draw_models(models, options.figure))
    if missing := [name for folder in options.runs for name in unfinished(folder)]:
        print(f"{len(missing)} runs have no result yet; repeat the command of the sweep to go on.")


def find_runs(folder: Path) -> list[Path]:
    """Finished runs: this folder, or all below it, those of a sweep in its order.

    Raises:
        InputError: If there is none.
    """
    if (folder / FILE_NAME).exists():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give those of runs, or of sweeps.")
    found = sorted(path.parent for path in folder.rglob(FILE_NAME))
    order = {name: place for place, name in enumerate(_planned(folder))}
    if not found:
        raise InputError(f"no {FILE_NAME} in {folder}: the run is not finished; repeat its command to go on.")
    return sorted(found, key=lambda path: order.get(path.name, len(order)))


def unfinished(folder: Path) -> list[str]:
    """Names of the runs that a sweep still lacks."""
    return [name for name in _planned(folder) if not (folder / name / FILE_NAME).exists()]


def table(header: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    rule = "|---" * (header.count("|") - 1) + "|"
    return [header, rule, *(f"| {' | '.join(cells)} |" for cells in rows)]


def row(folder: Path) -> list[str]:
    """One run as a row of the table."""
    result = Result.load(folder)
    return [
        folder.name,
        yaml.safe_load((folder / "config.yaml").read_text())["model"]["network"]["delays"],
        f"{result.accuracy:.1%}",
        _range(interval(result.accuracy, result.num_samples)),
        f"{result.epoch} of {result.num_epochs}",
        result.selection,
        f"{result.num_parameters:,}",
        "" if result.minutes is None else f"{result.minutes:.1f}",
    ]


def model_row(model: Model) -> list[str]:
    """One model as a row of the table."""
    last, minutes = model.mean("last_accuracy"), model.mean("minutes")
    return [
        model.name,
        model.synapses,
        f"{model.accuracy:.1%}",
        _range(model.interval),
        "" if last is None else f"{last:.1%}",
        str(len(model.results)),
        f"{model.mean('num_parameters'):,.0f}",
        ", ".join(sorted({result.selection for result in model.results.values()})),
        "" if minutes is None else f"{minutes:.1f}",
    ]


def _planned(folder: Path) -> list[str]:
    path = folder / manifest.FILE_NAME
    return [run.name for run in manifest.load(path)] if path.exists() else []


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}"


def _figure(text: str) -> Path:
    if Path(text).suffix.lower() not in FORMATS:
        raise ArgumentTypeError(f"must end in {', '.join(FORMATS)}, got {text}")
    return Path(text)
