"""The runs of a sweep as lines: each has a name, a folder, and one command that makes it."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lit_delays.atomic_files import write_atomic
from lit_delays.errors import InputError
from lit_delays.progress import track
from lit_delays.training.runs import NAME, RESULT, default_name

FILE_NAME = "manifest.jsonl"
LONGEST_NAME = 64
LARGEST = 2**24  # bytes; a line has about 500

ReadOptions = Callable[[list[str]], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """One line of a sweep.

    Args:
        name: Of the run and its folder; made of what the line says, so the same in every start.
        command: Words after ``python -m lit_delays``.
    """

    name: str
    command: list[str]

    def is_done(self, folder: Path) -> bool:
        """Whether the run has a result in the folder of its sweep."""
        return (folder / self.name / RESULT).exists()


def plan(lines: Sequence[list[str]], folder: Path, read_options: ReadOptions) -> list[Run]:
    """Runs for these lines of options, all in one folder; lines that mean the same are one run.

    Args:
        lines: Options of ``fit``.
        folder: Of the sweep.
        read_options: The real command line: all options of a run from the ones given.

    Raises:
        InputError: If ``fit`` would refuse a line; no run has been started then.
    """
    runs, common = {}, set(lines[0]).intersection(*lines) if lines else set()
    for number, line in enumerate(track(lines, "reading the options of all runs", len(lines))):
        try:
            options = read_options(line)
        except InputError as error:
            raise InputError(f"line {number} of the sweep, `fit {shlex.join(line)}`: {error}") from error
        name = _name(line, common, default_name(options))
        placed = [f"--trainer.default_root_dir={folder}", f"--name={name}"]
        runs[name] = Run(name, ["fit", *line, *placed])
    return list(runs.values())


def save(runs: Sequence[Run], path: Path) -> None:
    """Write one JSON line a run."""
    write_atomic(path, "".join(json.dumps(asdict(run)) + "\n" for run in runs))


def load(path: Path) -> list[Run]:
    """Read the lines that :func:`save` wrote.

    Raises:
        InputError: If a line is not a run.
    """
    if path.exists() and not (path.is_file() and path.stat().st_size <= LARGEST):
        raise InputError(f"{path} must be a file of at most {LARGEST // 2**20} MB.")
    try:
        return [_run(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is no manifest ({error}); write it with `sweep FILE --slurm`.") from error


def is_name(name: str) -> bool:
    """Whether it names a folder beside others, and nothing else."""
    return bool(NAME.fullmatch(name)) and name.strip(".") != ""


def _run(about: Any) -> Run:
    """One line, which must name a folder beside the manifest, and a command of ours."""
    run = Run(**about)
    words = run.command if isinstance(run.command, list) else []
    if not words or words[0] != "fit" or not all(isinstance(word, str) for word in words):
        raise ValueError(f"`command` must be words after `fit`, got {run.command!r:.80}")
    if not (isinstance(run.name, str) and is_name(run.name)):
        raise ValueError(f"`name` must be that of a folder, got {run.name!r:.80}")
    return run


def _name(line: list[str], common: set[str], default: str) -> str:
    """What sets this line apart, and the name that ``fit`` would give it."""
    own = [word for word in line if word not in common]
    return "-".join([*map(_value, own), default])[-LONGEST_NAME:]


def _value(option: str) -> str:
    """The value of ``--name=value`` as part of a file name.

    Example:
        >>> _value("--config=configs/models/no_delays.yaml"), _value("--sigma.final=0.5")
        ('no_delays', '0.5')
    """
    value = option.split("=", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._]+", "_", Path(value).stem if value.endswith(".yaml") else value)
