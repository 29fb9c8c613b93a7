"""Every numeric option has a range, and what Lightning refuses is said in one line."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateFinder

from lit_delays.errors import InputError
from lit_delays.snn.network import RECURRENT, Network

SEEDS = 2**32  # what NumPy takes
LARGEST = 10**9  # of any number: nothing that is counted or measured here comes near

REFUSALS = (
    *(ArithmeticError, ImportError, LookupError, RuntimeError, TypeError, ValueError),
    MisconfigurationException,
)

PROBLEM = re.compile(r"Problem with given class_path '[^']*':\s*")
MAY_BE_TEXT = ("trainer.devices", "trainer.max_time", "trainer.val_check_interval")

# lowest and highest value of an option, by its full name or its last part; a class of its own may know better
RANGES: dict[str, tuple[float, float]] = {
    "seed_everything": (0, SEEDS - 1),
    "trainer.devices": (-1, 10**4),  # -1 for all
    "trainer.num_nodes": (1, 10**5),
    "trainer.max_epochs": (-1, 10**6),
    "trainer.min_epochs": (0, 10**6),
    "trainer.check_val_every_n_epoch": (1, 10**6),
    "trainer.num_sanity_val_steps": (-1, LARGEST),  # -1 for all
    "trainer.max_steps": (-1, LARGEST),
    "trainer.accumulate_grad_batches": (1, LARGEST),
    "trainer.gradient_clip_val": (0, LARGEST),
    **{f"trainer.limit_{what}_batches": (0, LARGEST) for what in ("train", "val", "test", "predict")},
    **{f"trainer.{name}": (0, LARGEST) for name in ("fast_dev_run", "min_steps", "overfit_batches")},
    "trainer.log_every_n_steps": (0, LARGEST),
    "trainer.val_check_interval": (1e-6, LARGEST),
    "trainer.reload_dataloaders_every_n_epochs": (0, 10**6),
    # what these must be at least is told by those who use them
    "data.split_seed": (-LARGEST, SEEDS - 1),
    "data.num_workers": (-LARGEST, 256),
    "time_step_ms": (0.01, 60_000),
    "clip_ms": (0.01, 3_600_000),
    "max_delay_ms": (0.01, 60_000),
    "hidden_sizes": (-LARGEST, 2**16),
    "num_synapses": (-LARGEST, 1000),
    "num_units": (-LARGEST, 2**16),
    "channels_per_bin": (-LARGEST, 2**16),
}


def check_numbers(options: Mapping[str, Any]) -> None:
    """Refuse numbers that are none, or out of their option's range.

    Args:
        options: All of them, as plain values.

    Raises:
        InputError: If one is.

    Example:
        >>> check_numbers({"data": {"clip_ms": 1000.0}, "trainer": {"devices": "auto"}})
    """
    if str(options.get("trainer", {}).get("devices")) == "0":
        raise InputError("`--trainer.devices` must be at least 1, or auto, got 0.")
    for name, value in numbers(options):
        low, high = RANGES.get(name, RANGES.get(name.rpartition(".")[2], (-LARGEST, LARGEST)))
        if not low <= value <= high:
            shown = f"{value!s:.20}" if isinstance(value, int) else f"{value:g}"
            rule = f"at most {high:,}" if low == -LARGEST and value > high else f"from {low:,} to {high:,}"
            raise InputError(f"`--{name}` must be {rule}, got {shown}.")


def numbers(options: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of plain options, and the names of the options that hold them.

    Example:
        >>> list(numbers({"data": {"dataset": {"class_path": "Mine", "init_args": {"sizes": [3, 4]}}}}))
        [('data.dataset.sizes', 3), ('data.dataset.sizes', 4)]
    """
    if isinstance(options, int | float) and not isinstance(options, bool):
        yield name, options
    elif isinstance(options, str) and name in MAY_BE_TEXT:
        with suppress(ValueError):
            yield name, float(options.lower().replace(".inf", "inf").replace(".nan", "nan"))
    elif isinstance(options, Mapping):
        for key, value in options.items():
            yield from numbers(value, name if key == "init_args" else f"{name}.{key}".lstrip("."))
    elif isinstance(options, list | tuple):
        for value in options:
            yield from numbers(value, name)


@contextmanager
def refused_in_one_line() -> Iterator[None]:
    """Within, Lightning and the classes that options name are made; what they refuse is told as a mistake.

    Raises:
        InputError: With their own words.
    """
    try:
        yield
    except REFUSALS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"these options make no run: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    r"""What a class said, where the parser lists why none of the types of an option fits.

    Example:
        >>> _reason("Errors:\n  - Expected a <class 'list'>\n  - no such mode\nGiven value: 3")
        'no such mode'
    """
    reasons = text.partition("\nGiven value")[0].split("\n  - ")[1:]
    told = [one for one in reasons if not one.startswith(("Expected a", "Not a valid subclass"))]
    return PROBLEM.sub("", told[0] if told else text)


def check_callbacks(callbacks: Iterable[pl.Callback], network: Network, metric: str = "acc") -> None:
    """Refuse what looks for a metric that nothing logs, or for a rate that nothing reads.

    Any metric may do where there are callbacks of one's own.

    Raises:
        InputError: If there is such a callback; it lists the metrics that are logged.
    """
    callbacks = list(callbacks)
    if any(isinstance(one, LearningRateFinder) for one in callbacks):
        raise InputError(
            "`LearningRateFinder` cannot set the rates, which follow --model.optimizer; leave it out, or"
            " sweep `model.optimizer.weight_lr`."
        )
    if any(not type(one).__module__.startswith(("lightning.", "lit_delays.")) for one in callbacks):
        return
    known = metric_names(network, metric)
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in known:
            raise InputError(
                f"`monitor` of {type(callback).__name__} must be one of {', '.join(known)}, got {monitor!r}."
            )


def metric_names(network: Network, metric: str = "acc") -> list[str]:
    """Names of all metrics that a run of the network logs after an epoch."""
    layers = list(network.named_layers())  # the readout last
    learned = [name for name, synapses in network.named_synapses().items() if synapses.learns_delays]
    names = [f"{stage}/{what}" for stage in ("val", "train") for what in (metric, "loss")]
    names += ["lr/weights", "beta1", *(["lr/delays"] if learned else [])]
    names += ["sigma"] if any(not name.endswith(RECURRENT) for name in learned) else []
    names += [f"sigma/{n}" for n in learned] if any(n.endswith(RECURRENT) for n in learned) else []
    names += [f"firing_rate/{name}" for name in layers[:-1]]
    names += [f"abs_weight/{name}" for name in network.named_synapses()]
    names += [f"window/{name}" for name, it in network.named_synapses().items() if it.window_is_free]
    return [*names, *(f"delay_change/{name}" for name in learned)]
