"""Finished runs side by side: a Markdown table."""

import argparse
from pathlib import Path

import yaml

from lit_delays.errors import InputError
from lit_delays.experiments.results import FILE_NAME, Result, interval

HEADER = "| run | delays | test accuracy | 95 % interval | epoch | chosen by | parameters | minutes |"
FIGURES = ("learning.png", "delays.png")


def report(args: list[str]) -> None:
    """Print the table of the runs whose folders are given, and the paths of their figures."""
    parser = argparse.ArgumentParser(prog="lit_delays report", description=report.__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    folders: list[Path] = parser.parse_args(args).runs
    lines = [row(folder) for folder in folders]
    figures = [folder / name for folder in folders for name in FIGURES if (folder / name).exists()]
    print("\n".join(["", HEADER, "|---" * HEADER.count(" | ") + "|---|", *lines, "", *map(str, figures)]))


def row(folder: Path) -> str:
    """One run as a row of the table.

    Raises:
        InputError: If the folder holds no result.
    """
    if not (folder / FILE_NAME).exists():
        raise InputError(f"no {FILE_NAME} in {folder}: the run is not finished; repeat its command to go on.")
    result = Result.load(folder)
    low, high = interval(result.accuracy, result.num_samples)
    delays = yaml.safe_load((folder / "config.yaml").read_text())["model"]["network"]["delays"]
    minutes = "" if result.minutes is None else f"{result.minutes:.1f}"
    cells = [
        folder.name,
        delays,
        f"{result.accuracy:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{result.epoch} of {result.num_epochs}",
        result.selection,
        f"{result.num_parameters:,}",
        minutes,
    ]
    return f"| {' | '.join(cells)} |"
