"""``python -m lit_delays sweep``: the runs of one file, here or on SLURM, with no account anywhere."""

import shlex
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lit_delays.cli.arguments import Arguments
from lit_delays.errors import InputError
from lit_delays.plain_text import printable
from lit_delays.sweeps.expand import MOST_RUNS, expand
from lit_delays.sweeps.manifest import FILE_NAME, Run, is_name, load, plan, save
from lit_delays.sweeps.slurm import slurm_script
from lit_delays.sweeps.sweep_file import read_sweep


def sweep(args: list[str]) -> None:
    """Make the runs of a sweep file, or of its manifest, a few side by side.

    Done runs are skipped and cut-off ones go on, so repeating the command is always right. Options after
    ``--`` are added to every run.
    """
    own, extra = _split(args)
    options = _parser().parse_args(own)
    if options.file.suffix == ".jsonl":
        folder, runs = options.file.parent, load(options.file)
    else:
        folder = options.folder or _folder_of(options.file)
        content = read_sweep(options.file)
        print(*content.notes, sep="\n", end="\n" if content.notes else "", file=sys.stderr)
        lines = expand(content, options.num_runs)
        runs = plan([[*line, *extra] for line in lines], folder, _read)
    runs = _chosen(runs, options.line)
    if options.dry_run:
        for run in runs:
            print(printable(shlex.join(["python", "-m", "lit_delays", *run.command])))
        return
    if options.line is None:
        save(runs, folder / FILE_NAME)
    if options.slurm:
        print(slurm_script(folder, len(runs)), end="")
    else:
        make(runs, folder, options.jobs)


def make(runs: list[Run], folder: Path, jobs: int) -> None:
    """Make the runs and say what came of them; exit code 1 if one failed."""
    from lit_delays.sweeps.runner import LOG_NAME, Runner  # imports torch, which help need not

    runner = Runner(folder, jobs)
    failed = runner.make(runs)
    print(f"{len(runs) - len(failed)} of {len(runs)} runs are done: python -m lit_delays report {folder}")
    for run in failed:
        last = runner.last_words(run)
        print(f"failed: {run.name}: {printable(last)} ({folder / run.name / LOG_NAME})", file=sys.stderr)
    if failed:
        sys.exit(1)


def _folder_of(file: Path) -> Path:
    """Where the runs of a sweep file go if nobody says."""
    if not is_name(file.stem):
        raise InputError(f"`--folder` must be given for a file of the name {file.name!r}.")
    return Path("runs") / file.stem


def _read(words: list[str]) -> dict[str, Any]:
    """All options that ``fit`` would run with; Lightning takes seconds to import."""
    from lit_delays.cli.options import read

    return read(words)


def _chosen(runs: list[Run], line: int | None) -> list[Run]:
    if line is None:
        return runs
    if not 0 <= line < len(runs):
        raise InputError(f"`--line` must be from 0 to {len(runs) - 1}, got {line}.")
    return [runs[line]]


def _split(args: list[str]) -> tuple[list[str], list[str]]:
    place = args.index("--") if "--" in args else len(args)
    return args[:place], args[place + 1 :]


def _parser() -> Arguments:
    parser = Arguments(prog="lit_delays sweep", description=sweep.__doc__)
    parser.add_argument("file", type=Path, help="a sweep file in W&B's format, or a manifest (.jsonl)")
    parser.add_argument("--jobs", type=_up_to(1024), default=1, help="runs side by side (1)")
    parser.add_argument("--folder", type=Path, help="where the runs go (runs/<name of the file>)")
    parser.add_argument(
        "--num-runs", type=_up_to(MOST_RUNS), help="draws of a random sweep; first runs of a grid"
    )
    parser.add_argument("--line", type=int, help="make only this run, counted from 0")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines, run nothing")
    parser.add_argument("--slurm", action="store_true", help="print a SLURM job array, run nothing")
    return parser


def _up_to(most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isdecimal() and text.strip("0")):
            raise ArgumentTypeError(f"must be at least 1, got {text:.20}")
        if len(text) > 9 or int(text) > most:
            raise ArgumentTypeError(f"must be at most {most:,}, got {text:.20}")
        return int(text)

    return whole
