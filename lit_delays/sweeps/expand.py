"""From a sweep file to the options of its runs: W&B's format, expanded as W&B's agent does.

Pure functions of the file: the same file means the same lines, in the same order.
"""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any

from lit_delays.errors import InputError
from lit_delays.sweeps.sweep_file import Sweep, values_of

RANDOM_SEED = 0  # a sweep that is started again draws the same runs
MOST_RUNS = 10_000  # each is read before the first is made


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
    num_runs = _number(sweep, num_runs)
    points = grid(sweep.parameters) if sweep.method == "grid" else draws(sweep.parameters)
    lines = [
        [*sweep.before, *(f"--{name}={value}" for name, value in point.items()), *sweep.after]
        for point in itertools.islice(points, num_runs)
    ]
    if not lines:
        raise InputError("the sweep has no runs; give at least one parameter and one value for each.")
    return lines


def _number(sweep: Sweep, num_runs: int | None) -> int:
    """How many runs there are, at most."""
    if sweep.method == "grid":
        size = math.prod(len(values_of(parameter)) for parameter in sweep.parameters.values())
        num_runs = size if num_runs is None else min(size, num_runs)
    assert num_runs is not None
    if num_runs > MOST_RUNS:
        raise InputError(
            f"a sweep must have at most {MOST_RUNS:,} runs, got {num_runs:,}; give fewer values, or"
            " --num-runs."
        )
    return num_runs


def grid(parameters: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the values; the last parameter changes fastest.

    Example:
        >>> list(grid({"a": {"value": 1}, "b": {"values": [2, 3]}}))
        [{'a': 1, 'b': 2}, {'a': 1, 'b': 3}]
    """
    axes = [values_of(parameter) for parameter in parameters.values()]
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
        values = values_of(parameter)
        weights = parameter.get("probabilities")
        return generator.choice(values) if weights is None else generator.choices(values, weights)[0]
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
