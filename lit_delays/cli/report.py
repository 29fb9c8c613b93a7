"""Finished runs side by side: a Markdown table, and a figure of models."""

from argparse import ArgumentTypeError
from pathlib import Path

from lit_delays.atomic_files import write_atomic
from lit_delays.cli.arguments import Arguments
from lit_delays.inspect.figures import FORMATS
from lit_delays.inspect.tables import table
from lit_delays.report.comparison_figure import draw_models
from lit_delays.report.models import load_models
from lit_delays.report.tables import HEADER, MODELS_HEADER, find_runs, model_row, row, unfinished

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
        write_atomic(options.table, "\n".join(lines) + "\n")
    if options.figure:
        print(draw_models(models, options.figure))
    if missing := [name for folder in options.runs for name in unfinished(folder)]:
        print(f"{len(missing)} runs have no result yet; repeat the command of the sweep to go on.")


def _figure(text: str) -> Path:
    if Path(text).suffix.lower() not in FORMATS:
        raise ArgumentTypeError(f"must end in {', '.join(FORMATS)}, got {text}")
    return Path(text)
