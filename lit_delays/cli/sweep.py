"""``python -m lit_delays sweep``: the runs of one file, here or on SLURM, with no account anywhere."""

import shlex
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from lit_delays.cli.arguments import Arguments
from lit_delays.errors import InputError
from lit_delays.sweeps.expand import expand, read_sweep
from lit_delays.sweeps.manifest import FILE_NAME, Run, load, plan, save
from lit_delays.sweeps.runner import LOG_NAME, Runner
from lit_delays.sweeps.slurm import slurm_script


def sweep(args: list[str]) -> None:
    """Make the runs of a sweep file, or of its manifest, a few side by side.

    Done runs are skipped and cut-off ones go on, so repeating the command is always right. Options after
    ``--`` are added to every run.
    """
    own, extra = _split(args)
    options = _parser().parse_args(own)
    folder = options.folder or Path("runs") / options.file.stem
    if options.file.suffix == ".jsonl":
        folder = options.file.parent
        runs = load(options.file)
    else:
        lines = expand(read_sweep(options.file), options.num_runs)
        runs = plan([[*line, *extra] for line in lines], folder, _read)
    runs = _chosen(runs, options.line)
    if options.dry_run:
        print("\n".join(shlex.join(["python", "-m", "lit_delays", *run.command]) for run in runs))
        return
    if options.line is None:
        save(runs, folder / FILE_NAME)
    if options.slurm:
        print(slurm_script(folder, len(runs)), end="")
    else:
        make(runs, folder, options.jobs)


def make(runs: list[Run], folder: Path, jobs: int) -> None:
    """Make the runs and say what came of them; exit code 1 if one failed."""
    runner = Runner(folder, jobs)
    failed = runner.make(runs)
    print(f"{len(runs) - len(failed)} of {len(runs)} runs are done: python -m lit_delays report {folder}")
    for run in failed:
        last = runner.last_words(run)
        print(f"failed: {run.name}: {last} ({folder / run.name / LOG_NAME})", file=sys.stderr)
    if failed:
        sys.exit(1)


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
    parser.add_argument("--jobs", type=_positive, default=1, help="runs side by side (1)")
    parser.add_argument("--folder", type=Path, help="where the runs go (runs/<name of the file>)")
    parser.add_argument("--num-runs", type=_positive, help="draws of a random sweep; first runs of a grid")
    parser.add_argument("--line", type=int, help="make only this run, counted from 0")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines, run nothing")
    parser.add_argument("--slurm", action="store_true", help="print a SLURM job array, run nothing")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)
