"""Finished runs side by side: a Markdown table, and a figure of models."""

from argparse import ArgumentTypeError
from pathlib import Path

from lit_delays.atomic_files import write_atomic
from lit_delays.cli.arguments import Arguments
from lit_delays.plain_text import printable

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
    _print_table(options.runs, options.table, options.figure)


def _print_table(folders: list[Path], table_file: Path | None, figure: Path | None) -> None:
    from lit_delays.inspect.tables import table  # takes seconds, which help need not
    from lit_delays.report.comparison_figure import draw_models
    from lit_delays.report.models import load_models
    from lit_delays.report.tables import HEADER, MODELS_HEADER, find_runs, model_row, row, unfinished

    runs = [run for folder in folders for run in find_runs(folder)]
    if runs == folders and not (table_file or figure):
        figures = [folder / name for folder in runs for name in FIGURES if (folder / name).exists()]
        _say("", *table(HEADER, [row(folder) for folder in runs]), "", *map(str, figures))
        return
    models = load_models(runs)
    lines = [printable(line) for line in table(MODELS_HEADER, [model_row(model) for model in models])]
    _say("", *lines, "")
    if table_file:
        write_atomic(table_file, "\n".join(lines) + "\n")
    if figure:
        print(draw_models(models, figure))
    if missing := [name for folder in folders for name in unfinished(folder)]:
        print(f"{len(missing)} runs have no result yet; repeat the command of the sweep to go on.")


def _say(*lines: str) -> None:
    """Print what may come from other people's runs."""
    print(*map(printable, lines), sep="\n")


def _figure(text: str) -> Path:
    from lit_delays.inspect.figures import FORMATS

    if Path(text).suffix.lower() not in FORMATS:
        raise ArgumentTypeError(f"must end in {', '.join(FORMATS)}, got {text}")
    return Path(text)
