"""From a sweep file to the options of its runs: W&B's format, expanded as W&B's agent does.

Pure functions of the file: the same file means the same lines, in the same order.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lit_delays.errors import InputError

METRICS = ("val/acc", "val/loss", "train/acc", "train/loss")
KEYS = {
    *("command", "early_terminate", "method", "metric", "parameters", "program", "run_cap"),
    *("description", "entity", "name", "project"),  # W&B's alone
}
ARGS = "${args}"
BOUNDED = ("int_uniform", "uniform", "log_uniform_values")
RANDOM_SEED = 0  # a sweep that is started again draws the same runs


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep file says.

    Args:
        method: ``grid`` or ``random``.
        parameters: How each option gets its values.
        before: Options of ``fit`` in front of the swept ones.
        after: Options behind them.
        run_cap: Most runs to draw; None for no such line.
    """

    method: str
    parameters: dict[str, dict[str, Any]]
    before: list[str]
    after: list[str]
    run_cap: int | None = None


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises:
        InputError: If no list of runs can be made of it; says what to write instead.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the sweep file {path}: {why}; check its path.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a sweep file needs `method`, `command` and `parameters`.")
    if unknown := content.keys() - KEYS:
        known = ", ".join(sorted(KEYS))
        raise InputError(f"{path}: `{min(unknown)}` is no key of a sweep file; choose from {known}.")
    _check_method(path, content.get("method"))
    _check_metric(path, content.get("metric") or {})
    before, after = _options(path, content.get("command") or [])
    parameters = content.get("parameters") or {}
    if any(str(word).lstrip("-").startswith("allow-import") for word in (*before, *after, *parameters)):
        raise InputError(f"{path}: `--allow-import` is yours to give: `sweep {path} -- --allow-import NAME`.")
    for name, parameter in parameters.items():
        _check_parameter(f"{path}: `parameters.{name}`", content["method"], parameter)
    return Sweep(
        method=content["method"],
        parameters=parameters,
        before=before,
        after=after,
        run_cap=content.get("run_cap"),
    )


def expand(sweep: Sweep, num_runs: int | None = None) -> list[list[str]]:
    """Options of ``fit`` for every run, written as W&B's agent writes them: ``--name=str(value)``.

    Args:
        sweep: A grid, or random draws.
        num_runs: Number of draws, or the first runs of a grid; ``run_cap`` if None.

    Raises:
        InputError: If that makes no run at all.

    Example:
        >>> widths = {"model.network.hidden_sizes": {"values": [[64], [128]]}}
        >>> expand(Sweep(method="grid", parameters=widths, before=["--config", "shd.yaml"], after=[]))[1]
        ['--config', 'shd.yaml', '--model.network.hidden_sizes=[128]']
    """
    num_runs = sweep.run_cap if num_runs is None else num_runs
    if sweep.method == "random" and num_runs is None:
        raise InputError("`method: random` never ends by itself; give --num-runs or write `run_cap`.")
    points = grid(sweep.parameters) if sweep.method == "grid" else draws(sweep.parameters)
    lines = [
        [*sweep.before, *(f"--{name}={value}" for name, value in point.items()), *sweep.after]
        for point in itertools.islice(points, num_runs)
    ]
    if not lines:
        raise InputError("the sweep has no runs; give at least one parameter and one value for each.")
    return lines


def grid(parameters: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the values; the last parameter changes fastest.

    Example:
        >>> list(grid({"a": {"value": 1}, "b": {"values": [2, 3]}}))
        [{'a': 1, 'b': 2}, {'a': 1, 'b': 3}]
    """
    axes = [_values(parameter) for parameter in parameters.values()]
    for values in itertools.product(*axes) if axes else ():
        yield dict(zip(parameters, values, strict=True))


def draws(parameters: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Endless random draws, the same ones every time.

    Example:
        >>> next(draws({"rate": {"min": 0.1, "max": 0.2}, "size": {"value": 8}}))
        {'rate': 0.18444218515250482, 'size': 8}
    """
    generator = random.Random(RANDOM_SEED)
    while parameters:
        yield {name: _draw(parameter, generator) for name, parameter in parameters.items()}


def _draw(parameter: dict[str, Any], generator: random.Random) -> Any:
    if "min" not in parameter:
        return generator.choice(_values(parameter))
    low, high = parameter["min"], parameter["max"]
    match parameter.get("distribution"):
        case "log_uniform_values":
            return math.exp(generator.uniform(math.log(low), math.log(high)))
        case "uniform":
            return generator.uniform(low, high)
        case "int_uniform":
            return generator.randint(low, high)
    # W&B's rule where the file names no distribution
    return generator.randint(low, high) if type(low) is type(high) is int else generator.uniform(low, high)


def _values(parameter: dict[str, Any]) -> list[Any]:
    return parameter["values"] if "values" in parameter else [parameter["value"]]


def _options(path: Path, command: list[Any]) -> tuple[list[str], list[str]]:
    words = [str(word) for word in command]
    if "lit_delays" not in words or "fit" not in words or words.count(ARGS) != 1:
        example = '["${env}", python, -m, lit_delays, fit, --config, configs/shd.yaml, "${args}"]'
        raise InputError(f"{path}: `command` must run `lit_delays fit` with one {ARGS}, such as {example}.")
    start, place = words.index("fit") + 1, words.index(ARGS)
    return words[start:place], words[place + 1 :]


def _check_method(path: Path, method: Any) -> None:
    if method == "bayes":
        raise InputError(
            f"{path}: `method: bayes` asks W&B's server for every run; start it with `wandb sweep {path}` and"
            " `wandb agent`, or write `method: random`."
        )
    if method not in ("grid", "random"):
        raise InputError(f"{path}: `method` must be grid or random, got {method!r}.")


def _check_metric(path: Path, metric: dict[str, Any]) -> None:
    name, goal = metric.get("name", METRICS[0]), metric.get("goal", "minimize")
    if name not in METRICS:
        raise InputError(f"{path}: nothing logs `metric.name` {name!r}; choose from {', '.join(METRICS)}.")
    best = "maximize" if name.endswith("acc") else "minimize"
    if metric and goal != best:
        raise InputError(f"{path}: `metric.goal` of {name} must be {best}, got {goal!r}.")


def _check_parameter(where: str, method: str, parameter: Any) -> None:
    if not isinstance(parameter, dict) or "parameters" in parameter:
        raise InputError(f"{where} must be flat, such as `model.network.dropout: {{values: [0.1, 0.4]}}`.")
    bounds = [parameter.get(name) for name in ("min", "max")]
    if "values" in parameter or "value" in parameter:
        if "values" in parameter and not (isinstance(parameter["values"], list) and parameter["values"]):
            raise InputError(f"{where}: `values` must be a list of one or more, got {parameter['values']!r}.")
    elif method == "grid" or not all(isinstance(bound, int | float) for bound in bounds):
        other = "" if method == "grid" else ", or `min` and `max`"
        raise InputError(f"{where} must have `value` or `values`{other}.")
    elif parameter.get("distribution", "uniform") not in BOUNDED:
        raise InputError(
            f"{where}: `distribution` must be one of {', '.join(BOUNDED)}, got {parameter['distribution']!r};"
            " `wandb agent` knows the others."
        )
