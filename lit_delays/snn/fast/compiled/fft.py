r"""The transform of :mod:`lit_delays.snn.fast.real_dft` as a fast one, in loops that numba compiles.

The same frequencies, half a step above whole ones. On them a real signal of n steps is a complex one of
:math:`m = n / 2`: the second half of the steps is a quarter turn behind the first,

.. math:: X_{2 k} = \sum_{t < m} e^{-2 \pi i\, k t / m}\; e^{-\pi i\, t / n}\,(x_t - i\, x_{t + m}),

and these m frequencies are all there are, as those above n / 2 mirror the odd ones. What is left is a plain
transform of m numbers, in :mod:`.butterflies`. Signals lie side by side, each in a lane of a vector; a few
vectors at a time stay in the cache, so that the loops are as fast as memory.

Frequencies come in G groups, :math:`k = g + G k'`, and each is a transform of :math:`m / G` numbers by
itself: steps :math:`m / G` apart fall together once they are turned by :math:`e^{-\pi i (4 g + 1) t / n}`. So
a group can be asked for alone, at its share of the cost; all at once are a transform of m numbers.
Letters: T steps, S signals, G groups, R rows of a group: three mixtures of each of its frequencies.
"""

from typing import Any

import numpy as np
from numba import njit

from lit_delays.snn.fast.compiled.blocks import WORK, by_blocks
from lit_delays.snn.fast.compiled.butterflies import stage, transposed_stage, turned
from lit_delays.snn.fast.compiled.vectors import (
    BYTES,
    fma,
    load,
    load_truths,
    one_of,
    pointer,
    splat,
    store,
    stream,
)

JOB = np.dtype(WORK + [(name, np.int64) for name in (
    "signals", "signal_stride", "num_signals", "num_steps", "has_truths", "adds",
    "spectrum", "spectrum_stride", "streams", "first_group", "last_group",
    "half", "circle", "apart", "sizes", "num_stages", "waves", "twist", "units", "mixtures", "fresh",
)])  # fmt: skip
"""What is to do: numbers, and addresses of numbers.

``circle`` is m, or m / G for groups alone, and rows are frequencies ``apart`` from each other: G, or 1 for
groups alone.
"""


@njit
def _signal(job: Any, t: int, column: int, one: Any) -> Any:
    place = t * job.signal_stride + column
    if job.has_truths:
        return load_truths(pointer(job.signals, np.uint8(0)), place, one)
    return load(pointer(job.signals, one), place)


@njit
def _column(job: Any, vector: int, lanes: int) -> Any:
    """The last vector reaches back into the one before it."""
    return min(vector * lanes, job.num_signals - lanes)


@njit
def _read_signals(job: Any, space: Any, group: int, first: int, count: int, one: Any, lanes: int) -> None:
    twist, last = pointer(job.twist, one), min(job.half, job.num_steps)
    for place in range(job.circle):
        for v in range(count):
            column, at = _column(job, first + v, lanes), 2 * lanes * (job.circle * v + place)
            real = imaginary = splat(one - one)
            for t in range(place, last, job.circle):
                a, b = _signal(job, t, column, one), splat(one - one)
                if t + job.half < job.num_steps:
                    b = b - _signal(job, t + job.half, column, one)
                a, b = turned((a, b), twist, group * job.half + t)
                real, imaginary = real + a, imaginary + b
            store(space, at, real)
            store(space, at + lanes, imaginary)


@njit
def _write_signals(job: Any, space: Any, group: int, first: int, count: int, one: Any, lanes: int) -> None:
    twist, last = pointer(job.twist, one), min(job.half, job.num_steps)
    for place in range(job.circle):
        for v in range(count):
            column, at = _column(job, first + v, lanes), 2 * lanes * (job.circle * v + place)
            real, imaginary = load(space, at), load(space, at + lanes)
            for t in range(place, last, job.circle):
                a, b = turned((real, imaginary), twist, group * job.half + t)
                _put(job, t, column, a, first + v, one, lanes)
                if t + job.half < job.num_steps:
                    _put(job, t + job.half, column, b, first + v, one, lanes)


@njit
def _put(job: Any, t: int, column: int, value: Any, vector: int, one: Any, lanes: int) -> None:
    signals, place = pointer(job.signals, one), t * job.signal_stride + column
    if job.adds:  # nothing to what the vector before has written already
        fresh = load(pointer(job.fresh, one), column - vector * lanes + lanes)
        value = fma(value, fresh, load(signals, place))
    store(signals, place, value)


@njit
def _weights(mixtures: Any, index: int) -> Any:
    """What a mixture takes of the real and of the imaginary part."""
    return splat(one_of(mixtures, 2 * index)), splat(one_of(mixtures, 2 * index + 1))


@njit
def _write_spectrum(job: Any, space: Any, group: int, first: int, count: int, one: Any, lanes: int) -> None:
    mixtures, spectrum = pointer(job.mixtures, one), pointer(job.spectrum, one)
    row = 3 * job.circle * (group - job.first_group)
    for nearest in range(job.apart):
        for frequency in range(nearest, job.circle, job.apart):
            for mixture in range(3):
                real, imaginary = _weights(mixtures, mixture)
                for v in range(count):
                    at = 2 * lanes * (job.circle * v + frequency)
                    value = fma(load(space, at), real, load(space, at + lanes) * imaginary)
                    place = row * job.spectrum_stride + _column(job, first + v, lanes)
                    if job.streams:
                        stream(spectrum, place, value)
                    else:
                        store(spectrum, place, value)
                row += 1


@njit
def _read_spectrum(job: Any, space: Any, group: int, first: int, count: int, one: Any, lanes: int) -> None:
    """The conjugates of frequencies, weighted by the mixtures."""
    mixtures, spectrum = pointer(job.mixtures, one), pointer(job.spectrum, one)
    row = 3 * job.circle * (group - job.first_group)
    for nearest in range(job.apart):
        for frequency in range(nearest, job.circle, job.apart):
            for v in range(count):
                place = row * job.spectrum_stride + _column(job, first + v, lanes)
                real = imaginary = splat(one - one)
                for mixture in range(3):
                    number = load(spectrum, place + mixture * job.spectrum_stride)
                    of_real, of_imaginary = _weights(mixtures, mixture)
                    real = fma(number, of_real, real)
                    imaginary = imaginary - number * of_imaginary
                at = 2 * lanes * (job.circle * v + frequency)
                store(space, at, real)
                store(space, at + lanes, imaginary)
            row += 3


@njit
def _stages(job: Any, here: int, there: int, count: int, one: Any, lanes: int) -> int:
    """All stages of a few vectors; the address of the result, which is one of the two."""
    sizes, waves, units = pointer(job.sizes, job.half), pointer(job.waves, one), pointer(job.units, one)
    n, s = job.circle, 1
    for index in range(job.num_stages):
        size = one_of(sizes, index)
        for v in range(count):
            at = 2 * BYTES * job.circle * v
            stage(pointer(here + at, one), pointer(there + at, one), waves, units, n, s, size, lanes)
        n, s = n // size, s * size
        here, there = there, here
    return here


@njit
def _transposed_stages(job: Any, here: int, there: int, count: int, one: Any, lanes: int) -> int:
    sizes, waves, units = pointer(job.sizes, job.half), pointer(job.waves, one), pointer(job.units, one)
    n, s = 1, job.circle
    for index in range(job.num_stages - 1, -1, -1):
        size = one_of(sizes, index)
        n, s = n * size, s // size
        for v in range(count):
            at = 2 * BYTES * job.circle * v
            x, y = pointer(here + at, one), pointer(there + at, one)
            transposed_stage(x, y, waves, units, n, s, size, lanes)
        here, there = there, here
    return here


@njit
def _forward(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    there = here + job.num_bytes // 2
    for group in range(job.first_group, job.last_group):
        _read_signals(job, pointer(here, one), group, first, count, one, lanes)
        result = _stages(job, here, there, count, one, lanes)
        _write_spectrum(job, pointer(result, one), group, first, count, one, lanes)


@njit
def _backward(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    there = here + job.num_bytes // 2
    for group in range(job.first_group, job.last_group):
        _read_spectrum(job, pointer(here, one), group, first, count, one, lanes)
        result = _transposed_stages(job, here, there, count, one, lanes)
        _write_signals(job, pointer(result, one), group, first, count, one, lanes)


FORWARD = by_blocks("forward", JOB, _forward)
BACKWARD = by_blocks("backward", JOB, _backward)
