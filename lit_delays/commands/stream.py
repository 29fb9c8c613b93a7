"""``python -m lit_delays stream``: a trained network that hears one time step after the other."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_delays.commands.models import open_model
from lit_delays.data.files import open_spikes
from lit_delays.data.spikes import steps_of
from lit_delays.deployed.network import DeployedSNN
from lit_delays.deployed.streaming import StreamingDelaySNN
from lit_delays.errors import InputError
from lit_delays.experiments.arguments import Arguments

Array = NDArray[Any]
TOLERANCE = 1e-6  # time steps; seconds in decimals do not divide evenly


def stream(args: list[str]) -> None:
    """Run a trained network step by step, and print its answer whenever it changes.

    Events come from a sample of an HDF5 file in SHD's layout, or from another program, which writes a line
    ``SECONDS CHANNEL`` for each, in the order of time. Nothing is looked ahead at: a line is printed as soon
    as the events of its time step are in.
    """
    parser = Arguments(prog="lit_delays stream", description=stream.__doc__)
    parser.add_argument("model", type=Path, help="run, checkpoint, or folder that export wrote")
    parser.add_argument("events", help="HDF5 file in SHD's layout, or - for standard input")
    parser.add_argument("--sample", type=int, default=0, help="of the file, counted from 0; default: 0")
    parser.add_argument(
        "--channels-per-bin",
        type=int,
        metavar="N",
        help="channels that one input merges; default: as the model was trained, where it knows",
    )
    options = parser.parse_args(args)
    network = open_model(options.model)
    if options.channels_per_bin is not None:
        if options.channels_per_bin < 1:
            raise InputError(f"`--channels-per-bin` must be at least 1, got {options.channels_per_bin}.")
        network.channels_per_bin = options.channels_per_bin
    if options.events == "-":
        follow(network, live_counts(network, sys.stdin))
    else:
        follow(network, recorded_counts(network, Path(options.events), options.sample))


def follow(network: DeployedSNN, counts: Iterable[Array]) -> None:
    """Print the running answer, then when it was settled and what a step took."""
    running, step_ms = StreamingDelaySNN(network), network.config.time_step_ms
    answer, since_ms, num_inputs, num_steps, seconds = -1, 0.0, 0, 0, 0.0
    share = np.zeros(0)
    steps = _timed(running, counts)
    for is_input, took, scores in steps:
        share = _share(scores, network.config.decision)
        if (best := int(scores.argmax())) != answer:
            answer, since_ms = best, num_steps * step_ms
            print(f"{since_ms:6g} ms  {network.class_names[best]}  {share[best]:.0%}", flush=True)
        num_inputs, num_steps, seconds = num_inputs + is_input, num_steps + 1, seconds + took
    if not num_steps:
        raise InputError("there are no events; the network starts with the first.")
    print(
        f"answer: {network.class_names[answer]} ({share[answer]:.0%}), settled at {since_ms:g} ms;"
        f" input ended at {num_inputs * step_ms:g} ms, {1e6 * seconds / num_steps:.0f} us a step"
    )


def _timed(running: StreamingDelaySNN, counts: Iterable[Array]) -> Iterator[tuple[bool, float, Array]]:
    """Scores after every step, whether it had input, and the seconds that it took to compute."""
    started = None
    for count in counts:
        started = time.perf_counter()
        scores = running.step(count).scores
        yield True, time.perf_counter() - started, scores
    if started is None:  # nothing to finish
        return
    started = time.perf_counter()
    for step in running.finish():
        yield False, time.perf_counter() - started, step.scores
        started = time.perf_counter()


def recorded_counts(network: DeployedSNN, path: Path, sample: int) -> Array:
    """Counts of one sample of a file, shape ``(T, I)``.

    Raises:
        InputError: If the file breaks a rule of the layout, or has no such sample.
    """
    config, merged = network.config, network.channels_per_bin
    arrays = open_spikes(path, config.num_inputs * merged)
    if not 0 <= sample < len(arrays):
        raise InputError(f"`--sample` must be in [0, {len(arrays) - 1}] for {path}, got {sample}.")
    times, units = arrays.sample(sample)
    steps = steps_of(times, "uniform", config.time_step_ms)
    counts = np.zeros((int(steps.max(initial=-1)) + 1, config.num_inputs))
    np.add.at(counts, (steps, units // merged), 1)
    return counts


def live_counts(network: DeployedSNN, lines: Iterable[str]) -> Iterator[Array]:
    """Counts of one time step after the other, each ``(I,)``, as the first later event closes it.

    Time starts with the first event.

    Raises:
        InputError: If a line is not an event of a channel that the network has, or out of order.
    """
    config = network.config
    counts, now, origin = np.zeros(config.num_inputs), 0, None
    for number, line in enumerate(lines, start=1):
        seconds, channel = _event(number, line, config.num_inputs * network.channels_per_bin)
        origin = seconds if origin is None else origin
        step = int((seconds - origin) * 1000 / config.time_step_ms + TOLERANCE)
        if seconds < origin or step < now:
            raise InputError(f"line {number}: events must come in the order of time, got {seconds:g} s.")
        for _ in range(step - now):
            yield counts
            counts = np.zeros_like(counts)
        counts[channel // network.channels_per_bin] += 1
        now = step
    if origin is not None:
        yield counts


def _event(number: int, line: str, num_channels: int) -> tuple[float, int]:
    try:
        seconds, channel = line.split()
        event = float(seconds), int(channel)
    except ValueError:
        raise InputError(f"line {number} must be `SECONDS CHANNEL`, got {line.strip()!r}.") from None
    if not 0 <= event[1] < num_channels or not np.isfinite(event[0]):
        raise InputError(
            f"line {number}: the channel must be in [0, {num_channels - 1}] and the time a number, got"
            f" {line.strip()!r}; if one input merges channels, give --channels-per-bin."
        )
    return event


def _share(scores: Array, decision: str) -> Array:
    """Scores as shares of one."""
    weights = scores if decision == "sum" else np.exp(scores - scores.max())
    share: Array = weights / weights.sum()
    return share
