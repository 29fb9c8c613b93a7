"""``python -m lit_delays stream``: a trained network, one time step after the other."""

import math
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lit_delays.cli.arguments import Arguments
from lit_delays.data.binning import Binning, BinningName
from lit_delays.data.storage.spike_files import open_spikes
from lit_delays.deploy.loading import load
from lit_delays.deploy.stream import Stream
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import Network
from lit_delays.time_grid import TimeGrid

LONGEST_LINE = 1000  # characters
LATEST_S = 1e10  # of an event; seconds since 1970 are below it
LONGEST_SILENCE = 100_000  # time steps between two events, which the network runs through
MOST_CHANNELS = 2**16  # that one input merges

Array = NDArray[Any]


def stream(args: list[str]) -> None:
    """Run a trained network step by step, and print its answer whenever it changes.

    Events come from a sample of an HDF5 file in SHD's layout, or from another program, which writes a line
    ``SECONDS CHANNEL`` for each, in the order of time. Nothing is looked ahead at: a line is printed as soon
    as the events of its time step are in. Time steps are those that the network was trained on, but that a
    recording counts a last event on the very edge of a step to the step before: only its end tells.
    """
    parser = Arguments(prog="lit_delays stream", description=stream.__doc__)
    parser.add_argument("model", type=Path, help="run, checkpoint, or folder that export wrote")
    parser.add_argument("events", help="HDF5 file in SHD's layout, or - for standard input")
    parser.add_argument("--sample", type=int, default=0, help="of the file, counted from 0; default: 0")
    parser.add_argument(
        "--channels-per-bin",
        type=int,
        metavar="N",
        help="channels that one input merges; default: as the network was trained, where it knows",
    )
    parser.add_allow_import()
    options = parser.parse_args(args)
    network = load(options.model)
    refuse_other_tasks(network)
    binning, num_units = input_of(network, options.channels_per_bin)
    if options.events == "-":
        follow(network, live_counts(binning, num_units, read_lines(sys.stdin)))
    else:
        follow(network, recorded_counts(binning, num_units, Path(options.events), options.sample))


def refuse_other_tasks(network: Network) -> None:
    """Events in, a running class out: what a network must be for.

    Raises:
        InputError: If its inputs are real values, or it is asked something else.
    """
    known = network.interface
    if known is None or (known.scale is None and known.task == "ClassPerSequence"):
        return
    what = "the inputs of this network are real values" if known.scale else f"it answers {known.task}"
    raise InputError(
        f"`stream` turns events into the class of a sequence, but {what}; run it in Python, step by step:"
        " `lit_delays.deploy.stream.Stream`, whose answer is the `readout` of a step."
    )


def input_of(network: Network, channels_per_bin: int | None = None) -> tuple[Binning, int]:
    """How events become counts, and the channels that they may come from, as the network was trained.

    Args:
        network: With its interface.
        channels_per_bin: Channels that one input merges, instead.

    Raises:
        InputError: If that is out of its range.
    """
    config, interface = network.config, network.interface or Interface(class_names=network.class_names)
    if channels_per_bin is not None:
        if not 1 <= channels_per_bin <= MOST_CHANNELS:
            raise InputError(f"`--channels-per-bin` must be in [1, {MOST_CHANNELS}], got {channels_per_bin}.")
        interface = replace(interface, channels_per_bin=channels_per_bin, num_units=None)
    merged = interface.channels_per_bin
    rule: BinningName = "paper" if interface.binning == "paper" else "uniform"
    binning = Binning(rule, config.time_step_ms, config.num_inputs, merged, interface.clip_ms)
    num_units = config.num_inputs * merged
    return binning, min(num_units, interface.num_units or num_units)


def follow(network: Network, counts: Iterable[Array]) -> None:
    """Print the running answer, then when it was settled and what a step took."""
    running, step_ms = Stream(network), network.config.time_step_ms
    answer, since_ms, num_inputs, num_steps, seconds = -1, 0.0, 0, 0, 0.0
    share = np.zeros(0)
    for is_input, took, scores in _timed(running, counts):
        share = _share(scores.numpy(), network.config.decision)
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


def _timed(running: Stream, counts: Iterable[Array]) -> Iterator[tuple[bool, float, Tensor]]:
    """Scores after every step, whether it had input, and the seconds that it took to compute."""
    started = None
    for now in counts:
        started = time.perf_counter()
        scores = running.step(now).scores
        yield True, time.perf_counter() - started, scores
    if started is None:  # nothing to finish
        return
    started = time.perf_counter()
    for step in running.finish():
        yield False, time.perf_counter() - started, step.scores
        started = time.perf_counter()


def recorded_counts(binning: Binning, num_units: int, path: Path, sample: int) -> Array:
    """Counts of one sample of a file, shape ``(T, I)``.

    Raises:
        InputError: If the file breaks a rule of the layout, or has no such sample.
    """
    samples = open_spikes(path, num_units)
    if not 0 <= sample < len(samples):
        raise InputError(f"`--sample` must be in [0, {len(samples) - 1}] for {path}, got {sample}.")
    counts: Array = samples.batch(np.array([sample]), binning).counts()[:, 0].numpy()
    return counts if counts.any() else counts[:0]


def read_lines(source: TextIO) -> Iterator[str]:
    """Lines of another program, none of them endless.

    Raises:
        InputError: If a line is longer than an event, or no text.
    """
    for number in count(1):
        try:
            line = source.readline(LONGEST_LINE)
        except UnicodeDecodeError as error:
            raise InputError(f"line {number} must be text, `SECONDS CHANNEL`; {error}.") from error
        if len(line) == LONGEST_LINE:
            raise InputError(
                f"line {number} must be `SECONDS CHANNEL`, got {line[:20]!r} and {LONGEST_LINE} characters or"
                " more."
            )
        if not line:
            return
        yield line


def live_counts(binning: Binning, num_units: int, lines: Iterable[str]) -> Iterator[Array]:
    """Counts of one time step after the other, each ``(I,)``, as the first later event closes it.

    Time starts with the first event.

    Raises:
        InputError: If a line is not an event of a channel that the network has, or out of order.
    """
    counts, now, last = np.zeros(binning.num_inputs), 0, binning.num_steps(sys.maxsize)
    has_begun = False
    for number, (step, channel) in enumerate(_steps(binning, num_units, lines), start=1):
        silence = min(step, last) - now
        if silence > LONGEST_SILENCE:
            raise InputError(
                f"line {number}: an event must come within {LONGEST_SILENCE:,} time steps of the one before,"
                f" got {silence:,}; start anew after a silence."
            )
        for _ in range(silence):
            yield counts
            counts = np.zeros_like(counts)
        if step >= last:  # the end of the clip
            return
        counts[channel // binning.channels_per_bin] += 1
        now, has_begun = step, True
    if has_begun:
        yield counts


def _steps(binning: Binning, num_units: int, lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Time step and channel of every event."""
    grid, step, before, since = TimeGrid(binning.time_step_ms), 0, -math.inf, math.nan
    for number, line in enumerate(lines, start=1):
        seconds, channel = _event(number, line, num_units)
        if seconds < before:
            raise InputError(f"line {number}: events must come in the order of time, got {seconds:g} s.")
        now_ms, before = round(seconds * 1e9) / 1e6, seconds  # whole nanoseconds, as of a recording
        since = now_ms if number == 1 else since
        if binning.rule == "uniform":
            step = grid.whole_steps(now_ms - since)
        elif grid.steps(now_ms - since) > 1:  # the paper's: this event opens the next step
            step, since = step + 1, now_ms
        yield step, channel


def _event(number: int, line: str, num_units: int) -> tuple[float, int]:
    try:
        seconds, channel = line.split()
        event = float(seconds), int(channel)
    except ValueError:
        raise InputError(f"line {number} must be `SECONDS CHANNEL`, got {line.strip()!r:.80}.") from None
    if not 0 <= event[1] < num_units or not abs(event[0]) <= LATEST_S:
        raise InputError(
            f"line {number}: the channel must be in [0, {num_units - 1}] and the time a number, got"
            f" {line.strip()!r:.80}; if one input merges channels, give --channels-per-bin."
        )
    return event


def _share(scores: Array, decision: str) -> Array:
    """Scores as shares of one."""
    weights = scores if decision == "sum" else np.exp(scores - scores.max())
    share: Array = weights / weights.sum()
    return share
