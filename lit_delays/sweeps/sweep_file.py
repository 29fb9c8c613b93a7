"""Sweep files in W&B's format: read, and refused where no list of runs can be made of them."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lit_delays.errors import InputError
from lit_delays.security.yaml_guard import read_text, read_yaml

METRICS = ("val/acc", "val/nmse", "val/loss", "train/acc", "train/nmse", "train/loss")
KEYS = {
    *("command", "early_terminate", "method", "metric", "parameters", "program", "run_cap"),
    *("description", "entity", "name", "project"),  # W&B's alone
}
ARGS = "${args}"
# what a parameter must say, by its distribution
DISTRIBUTIONS = {
    "constant": {"value"},
    "categorical": {"values"},
    "categorical_w_probabilities": {"values", "probabilities"},
    **{name: {"min", "max"} for name in ("int_uniform", "uniform", "log_uniform_values")},
}
LARGEST = 1e300  # of a bound or a probability; no infinity
EXAMPLE = '["${env}", python, -m, lit_delays, fit, --config, configs/shd.yaml, "${args}"]'
EARLY = "note: `early_terminate` is for W&B's server, and not used here: every run goes to its end"
AS_NUMBER = "write it without quotes, and 1e-4, which YAML takes for text, as 1.0e-4"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep file says.

    Args:
        method: ``grid`` or ``random``.
        parameters: How each option gets its values.
        before: Options of ``fit`` in front of the swept ones.
        after: Options behind them.
        run_cap: Most runs to draw; None for no such line.
        notes: What of the file is not used.
    """

    method: str
    parameters: dict[str, dict[str, Any]]
    before: list[str]
    after: list[str]
    run_cap: int | None = None
    notes: tuple[str, ...] = ()


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises:
        InputError: If no list of runs can be made of it; says what to write instead.
    """
    content = _content(path)
    _check_method(path, content.get("method"))
    _check_metric(path, content.get("metric"))
    run_cap = content.get("run_cap")
    if run_cap is not None and (type(run_cap) is not int or run_cap < 1):
        raise InputError(f"{path}: `run_cap` must be a whole number, at least 1, got {run_cap!r:.80}.")
    before, after = _options(path, content.get("command"))
    parameters = content.get("parameters")
    if not isinstance(parameters, dict) or not all(isinstance(name, str) for name in parameters):
        raise InputError(f"{path}: `parameters` must hold options, as `seed_everything: {{values: [0, 1]}}`.")
    if any(word.lstrip("-").startswith("allow-import") for word in (*before, *after, *parameters)):
        raise InputError(f"{path}: `--allow-import` is yours to give: `sweep {path} -- --allow-import NAME`.")
    for name, parameter in parameters.items():
        _check_parameter(f"{path}: `parameters.{name}`", content["method"], parameter)
    return Sweep(
        method=content["method"],
        parameters=parameters,
        before=before,
        after=after,
        run_cap=run_cap,
        notes=(EARLY,) if content.get("early_terminate") else (),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, InputError) as error:
        why = getattr(error, "strerror", None) or str(error).removeprefix(f"{path} ").rstrip(".")
        raise InputError(f"cannot read the sweep file {path}: {why}; check its path.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a sweep file needs `method`, `command` and `parameters`.")
    if unknown := content.keys() - KEYS:
        known = ", ".join(sorted(KEYS))
        raise InputError(
            f"{path}: `{min(map(str, unknown))}` is no key of a sweep file; choose from {known}."
        )
    return content


def values_of(parameter: dict[str, Any]) -> list[Any]:
    """What a parameter may be."""
    return parameter["values"] if "values" in parameter else [parameter["value"]]


def _options(path: Path, command: Any) -> tuple[list[str], list[str]]:
    is_list = isinstance(command, list) and all(isinstance(word, str | int | float) for word in command)
    words = list(map(str, command)) if is_list else []
    if "lit_delays" not in words or "fit" not in words or words.count(ARGS) != 1:
        raise InputError(
            f"{path}: `command` must run `lit_delays fit` with one {ARGS}, as a list of words such as"
            f" {EXAMPLE}, got {command!r:.80}."
        )
    start, place = words.index("fit") + 1, words.index(ARGS)
    return words[start:place], words[place + 1 :]


def _check_method(path: Path, method: Any) -> None:
    if method == "bayes":
        raise InputError(
            f"{path}: `method: bayes` asks W&B's server for every run; start it with `wandb sweep {path}` and"
            " `wandb agent`, or write `method: random`."
        )
    if method not in ("grid", "random"):
        raise InputError(f"{path}: `method` must be grid or random, got {method!r:.80}.")


def _check_metric(path: Path, metric: Any) -> None:
    if metric is None:
        return
    if not isinstance(metric, dict):
        raise InputError(
            f"{path}: `metric` must have a name and a goal, such as {{name: val/acc, goal: maximize}}, got"
            f" {metric!r:.80}."
        )
    name, goal = metric.get("name", METRICS[0]), metric.get("goal", "minimize")
    if name not in METRICS:
        raise InputError(
            f"{path}: nothing logs `metric.name` {name!r:.80}; choose from {', '.join(METRICS)}."
        )
    best = "maximize" if name.endswith("acc") else "minimize"
    if metric and goal != best:
        raise InputError(f"{path}: `metric.goal` of {name} must be {best}, got {goal!r:.80}.")


def _check_parameter(where: str, method: str, parameter: Any) -> None:
    if not isinstance(parameter, dict) or "parameters" in parameter:
        raise InputError(f"{where} must be flat, such as `model.network.dropout: {{values: [0.1, 0.4]}}`.")
    chosen = parameter.get("distribution")
    if chosen is not None and str(chosen) not in DISTRIBUTIONS:
        raise InputError(
            f"{where}: `distribution` must be one of {', '.join(DISTRIBUTIONS)}, got {chosen!r:.80}; `wandb"
            " agent` knows the others."
        )
    known = list(DISTRIBUTIONS.values()) if chosen is None else [DISTRIBUTIONS[str(chosen)]]
    given = {str(key) for key in parameter} - {"distribution"}
    if given not in known or (method == "grid" and "min" in given):
        has = ", ".join(sorted(given)) or "nothing"
        raise InputError(f"{where} must have {_either(known, method)}. It has {has}.")
    if "min" in given:
        _check_bounds(where, parameter)
    else:
        _check_values(where, method, parameter)


def _either(known: Collection[set[str]], method: str) -> str:
    fitting = [keys for keys in known if method == "random" or not keys & {"min", "probabilities"}]
    words = dict.fromkeys(" and ".join(f"`{key}`" for key in sorted(keys)) for keys in fitting)
    return " or ".join(words) or "`value` or `values`"


def _check_values(where: str, method: str, parameter: dict[str, Any]) -> None:
    values, weights = parameter.get("values", [parameter.get("value")]), parameter.get("probabilities")
    if not (isinstance(values, list) and values):
        raise InputError(f"{where}: `values` must be a list of one or more, got {values!r:.80}.")
    if _has_null(values):
        raise InputError(
            f'{where} has a null, which W&B\'s agent writes as None, and `fit` refuses; write "null",'
            " in quotes."
        )
    if weights is None:
        return
    if method == "grid":
        raise InputError(f"{where}: `probabilities` need `method: random`: a grid takes every value once.")
    are_weights = isinstance(weights, list) and all(_is_number(one) and one >= 0 for one in weights)
    if not (are_weights and len(weights) == len(values) and math.isclose(sum(weights), 1, abs_tol=1e-6)):
        raise InputError(
            f"{where}: `probabilities` must be {len(values)} numbers, one a value, that sum to 1, got"
            f" {weights!r:.80}; {AS_NUMBER}."
        )


def _has_null(value: Any) -> bool:
    return value is None or (isinstance(value, list) and any(map(_has_null, value)))


def _check_bounds(where: str, parameter: dict[str, Any]) -> None:
    low, high = parameter["min"], parameter["max"]
    for name, bound in (("min", low), ("max", high)):
        if not _is_number(bound):
            way = f"; {AS_NUMBER}" if isinstance(bound, str) else ""
            raise InputError(f"{where}: `{name}` must be a number, got {bound!r:.80}{way}.")
    if low > high:
        raise InputError(f"{where}: `min` must be at most `max`, got {low!r:.80} and {high!r:.80}.")
    chosen = parameter.get("distribution")
    if chosen == "log_uniform_values" and low <= 0:
        raise InputError(f"{where}: `min` of log_uniform_values must be above 0, got {low!r:.80}.")
    if chosen == "int_uniform" and not type(low) is type(high) is int:
        raise InputError(f"{where}: `min` and `max` of int_uniform must be whole, got {low!r} and {high!r}.")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST
