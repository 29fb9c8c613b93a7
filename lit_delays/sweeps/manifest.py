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
from lit_delays.training.runs import RESULT, default_name

FILE_NAME = "manifest.jsonl"
LONGEST_NAME = 64

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
    runs = {}
    for number, line in enumerate(lines):
        try:
            options = read_options(line)
        except InputError as error:
            raise InputError(f"line {number} of the sweep, `fit {shlex.join(line)}`: {error}") from error
        name = _name(line, lines, default_name(options))
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
    try:
        return [Run(**json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is no manifest ({error}); write it with `sweep FILE --slurm`.") from error


def _name(line: list[str], lines: Sequence[list[str]], default: str) -> str:
    """What sets this line apart, and the name that ``fit`` would give it."""
    own = [word for word in line if any(word not in other for other in lines)]
    return "-".join([*map(_value, own), default])[-LONGEST_NAME:]


def _value(option: str) -> str:
    """The value of ``--name=value`` as part of a file name.

    Example:
        >>> _value("--config=configs/models/no_delays.yaml"), _value("--sigma.final=0.5")
        ('no_delays', '0.5')
    """
    value = option.split("=", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._]+", "_", Path(value).stem if value.endswith(".yaml") else value)
