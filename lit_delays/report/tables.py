"""Finished runs side by side: the rows of Markdown tables."""

from pathlib import Path

from lit_delays.errors import InputError
from lit_delays.report.models import Model, delays_of
from lit_delays.report.results import Result
from lit_delays.security.yaml_guard import read_yaml_file
from lit_delays.sweeps import manifest
from lit_delays.training.runs import RESULT

HEADER = "| run | delays | test accuracy | 95 % interval | epoch | chosen by | parameters | minutes |"
MODELS_HEADER = (
    "| model | synapses | test accuracy | 95 % interval | at the last epoch | seeds | parameters | chosen by"
    " | minutes |"
)


def find_runs(folder: Path) -> list[Path]:
    """Finished runs: this folder, or all below it, those of a sweep in its order.

    Raises:
        InputError: If there is none.
    """
    if (folder / RESULT).exists():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give those of runs, or of sweeps.")
    found = sorted(path.parent for path in folder.rglob(RESULT))
    order = {name: index for index, name in enumerate(_planned(folder))}
    if not found:
        raise InputError(f"no {RESULT} in {folder}: the run is not finished; repeat its command to go on.")
    return sorted(found, key=lambda path: order.get(path.name, len(order)))


def unfinished(folder: Path) -> list[str]:
    """Names of the runs that a sweep still lacks."""
    return [name for name in _planned(folder) if not (folder / name / RESULT).exists()]


def row(folder: Path) -> list[str]:
    """One run as a row of the table."""
    result = Result.load(folder)
    return [
        folder.name,
        delays_of(read_yaml_file(folder / "config.yaml")).removesuffix(" delays"),
        result.shown,
        result.shown_interval,
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
        model.shown,
        "" if model.metric != "acc" else _range(model.interval),
        "" if last is None else f"{last:.1%}" if model.metric == "acc" else f"{last:.4f}",
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
