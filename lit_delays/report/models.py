"""Runs that differ in their seed alone, or in that of the runs they start from, are one model: its mean."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from pathlib import Path
from typing import Any

from lit_delays.errors import InputError
from lit_delays.report.results import Result, interval
from lit_delays.security.yaml_guard import read_yaml_file
from lit_delays.training.runs import best_checkpoint, default_name, last_checkpoint

# Student's t, 97.5 %, for 1 to 9 degrees of freedom; above, its expansion in 1 / degrees is exact to 0.001
T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
Z_QUANTILE = 1.95996

Repetition = tuple[int, str | None]  # seed, and checkpoint that training started from


@dataclass(frozen=True)
class Model:
    """Results of one configuration, by seed.

    Args:
        name: What it is called in tables.
        config: All options, those of the first seed.
        results: Results by seed and by the checkpoint that training started from, one or more.
    """

    name: str
    config: dict[str, Any]
    results: dict[Repetition, Result]

    @property
    def synapses(self) -> str:
        """How many synapses a neuron has."""
        fan_in = options_of(self.config["model"]["network"]["synapses"]).get("fan_in")
        return f"{fan_in} per neuron" if fan_in else "all"

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of every seed."""
        return [result.accuracy for result in self.results.values()]

    @property
    def accuracy(self) -> float:
        """Mean test accuracy."""
        return statistics.fmean(self.accuracies)

    @property
    def metric(self) -> str:
        """Short name of what its accuracies are: ``acc``, or ``nmse``."""
        return next(iter(self.results.values())).metric

    @property
    def shown(self) -> str:
        """Its mean score, for tables."""
        if self.metric == "acc":
            return f"{self.accuracy:.1%}"
        return f"{self.metric.upper()} {self.accuracy:.4f}"

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval: Student's over seeds, and never narrower than Wilson's over the test samples.

        Seeds share a test set: how well they agree says nothing about how well it stands for others. Of
        errors: from the best to the worst seed.
        """
        if self.metric != "acc":
            return min(self.accuracies), max(self.accuracies)
        low, high = interval(self.accuracy, next(iter(self.results.values())).num_samples)
        if len(self.results) == 1:
            return low, high
        student = t_interval(self.accuracies)
        return min(low, student[0]), max(high, student[1])

    def mean(self, field: str) -> float | None:
        """Mean of a field of the results, None where one lacks it."""
        values = [getattr(result, field) for result in self.results.values()]
        return None if None in values else statistics.fmean(values)


def load_models(folders: Iterable[Path]) -> list[Model]:
    """The models of these finished runs, in the order of their first runs.

    Raises:
        InputError: If they were tested on different data.
    """
    configs: dict[str, dict[str, Any]] = {}
    results: defaultdict[str, dict[Repetition, Result]] = defaultdict(dict)
    tested: dict[tuple[Any, ...], Path] = {}
    for folder in folders:
        config, result = read_yaml_file(folder / "config.yaml"), Result.load(folder)
        key = _key(config)
        configs.setdefault(key, config)
        repetition = (config["seed_everything"], config.get("start_from"))
        results[key].setdefault(repetition, result)  # the same run twice is no second seed
        tested.setdefault((*_test_set(config), result.num_samples), folder)
    if len(tested) > 1:
        kinds = "; ".join(f"{kind[0]} with {kind[2]} samples in {folder}" for kind, folder in tested.items())
        raise InputError(f"runs on different test sets need a report each, got {kinds}.")
    return _told_apart(
        [Model(_name(configs[key], results[key]), configs[key], results[key]) for key in configs]
    )


def class_name(part: Mapping[str, Any]) -> str:
    """Short name of the class of a part.

    Example:
        >>> class_name({"class_path": "lit_delays.snn.neurons.LIF", "init_args": {}})
        'LIF'
    """
    name: str = part["class_path"].rpartition(".")[2]
    return name


def options_of(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of a part; the file of a run leaves out that there are none."""
    return part.get("init_args") or {}


def delays_of(config: Mapping[str, Any]) -> str:
    """What a run does with delays, in words; the class of its synapses where they have no such option."""
    synapses = config["model"]["network"]["synapses"]
    kind = options_of(synapses).get("delays")
    return class_name(synapses) if kind is None else f"{kind.replace('none', 'no')} delays"


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the mean of two or more accuracies, both ends in [0, 1].

    Source:
        Student (1908): the values are taken as normal, with a spread that they alone tell.

    Example:
        >>> low, high = t_interval([0.93, 0.94, 0.95])
        >>> round(low, 3), round(high, 3)
        (0.915, 0.965)
    """
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return max(mean - half, 0.0), min(mean + half, 1.0)


def t_quantile(degrees: int) -> float:
    """Student's t that 97.5 % stay below, for 1 degree of freedom or more.

    Source:
        Abramowitz and Stegun (1964), 26.7.5, from 10 degrees on.

    Example:
        >>> round(t_quantile(2), 3), round(t_quantile(29), 3)
        (4.303, 2.045)
    """
    if degrees <= len(T_QUANTILES):
        return T_QUANTILES[degrees - 1]
    z = Z_QUANTILE
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _key(config: dict[str, Any]) -> str:
    """The same for runs of one model. Fine-tuned ones are, if those that they start from are."""
    start = config.get("start_from")
    if start and (origin := _config_of_run(Path(start))):
        start = f"{default_name({**origin, 'seed_everything': None})}/{Path(start).name}"
    return default_name({**config, "seed_everything": None, "start_from": start})


def _config_of_run(checkpoint: Path) -> dict[str, Any] | None:
    """Options of the run that a checkpoint is of, if it is of one."""
    run = checkpoint.parent.parent
    if checkpoint not in (best_checkpoint(run), last_checkpoint(run)) or not (run / "config.yaml").is_file():
        return None
    config: dict[str, Any] = read_yaml_file(run / "config.yaml")
    return config


def _name(config: dict[str, Any], results: dict[Repetition, Result]) -> str:
    overlay = next(iter(results.values())).model
    return overlay.replace("_", " ") if overlay else delays_of(config)


def _test_set(config: dict[str, Any]) -> tuple[str, str | None]:
    """The data set, and the file of its test samples where a run named one."""
    dataset = config["data"]["dataset"]
    return class_name(dataset), options_of(dataset).get("test_file")


def _told_apart(models: list[Model]) -> list[Model]:
    """The models, those of one name told apart by the options in which they differ."""
    namesakes: defaultdict[tuple[str, str], list[Model]] = defaultdict(list)
    for model in models:
        namesakes[model.name, model.synapses].append(model)
    told = []
    for model in models:
        others = [dict(_identity(other)) for other in namesakes[model.name, model.synapses]]
        own = [
            f"{name.rpartition('.')[2]} {value}"
            for name, value in _identity(model)
            if any(other.get(name) != value for other in others)
        ]
        told.append(replace(model, name=", ".join([model.name, *own])))
    return told


def _identity(model: Model) -> Iterator[tuple[str, Any]]:
    """What makes it this model: its options, and how the checkpoints that it starts from all begin."""
    yield from _options(model.config)
    starts = sorted({start for _, start in model.results if start})
    if starts:  # runs of one model share the beginning of a name, no folder
        yield "start_from", starts[0] if len(starts) == 1 else f"{commonprefix(starts)}*"  # noqa: RUF071


def _options(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All options that a result depends on but the seed and the start, with dotted names.

    Example:
        >>> neuron = {"class_path": "lit_delays.snn.neurons.LIF", "init_args": {"tau_mem_ms": 20}}
        >>> list(_options({"name": "a", "model": {"neuron": neuron}}))
        [('model.neuron', 'LIF'), ('model.neuron.tau_mem_ms', 20)]
    """
    for name, value in config.items():
        if isinstance(value, Mapping) and "class_path" in value:
            yield prefix + name, class_name(value)
            yield from _options(options_of(value), f"{prefix}{name}.")
        elif isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{name}.")
        elif isinstance(value, list) and all(item is None or isinstance(item, Mapping) for item in value):
            parts = {str(index): item or {} for index, item in enumerate(value)}
            yield from _options(parts, f"{prefix}{name}.")
        elif prefix + name not in ("name", "seed_everything", "start_from", "trainer.default_root_dir"):
            yield prefix + name, value
