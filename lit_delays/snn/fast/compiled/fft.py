r"""The transform of :mod:`lit_delays.snn.fast.real_dft` as a fast one, in loops that numba compiles.

The same frequencies, half a step above whole ones. On them a real signal of n steps is a complex one of
:math:`m = n / 2`: the second half of the steps is a quarter turn behind the first,

.. math:: X_{2 k} = \sum_{t < m} e^{-2 \pi i\, k t / m}\; e^{-\pi i\, t / n}\,(x_t - i\, x_{t + m}),

and these m frequencies are all there are, as those above n / 2 mirror the odd ones. What is left is a plain
transform of m numbers, in :mod:`.butterflies`. Signals lie side by side, each in a lane of a vector; a few
vectors at a time stay in the cache, so that the loops are as fast as memory.

Frequencies come in groups: q + s j for j < r, of the last stage's size r and places s = m / r. A group may be
asked for alone. Letters: T steps, S signals, G groups, R rows of a group: r frequencies, three mixtures.
"""

from typing import Any

import numpy as np
from numba import carray, float32, float64, njit

from lit_delays.snn.fast.compiled.butterflies import stage, turned
from lit_delays.snn.fast.compiled.vectors import (
    BYTES,
    fma,
    load,
    load_truths,
    next_share,
    one_of,
    pointer,
    splat,
    store,
    stream,
)

JOB = np.dtype([(name, np.int64) for name in (
    "share", "num_shares",
    "signals", "signal_stride", "num_signals", "num_steps", "has_truths", "adds",
    "spectrum", "spectrum_stride", "streams", "first_group", "last_group",
    "half", "sizes", "num_stages", "waves", "twist", "units", "mixtures", "fresh", "num_vectors",
)])  # fmt: skip
"""What is to do: numbers, and addresses of numbers; ``share`` counts what the threads have taken."""


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
def _read_signals(job: Any, space: Any, first: int, count: int, one: Any, lanes: int) -> None:
    twist = pointer(job.twist, one)
    for t in range(job.half):
        for v in range(count):
            column, place = _column(job, first + v, lanes), 2 * lanes * (job.half * v + t)
            a = splat(one - one)
            b = a
            if t < job.num_steps:
                a = _signal(job, t, column, one)
            if t + job.half < job.num_steps:
                b = b - _signal(job, t + job.half, column, one)
            a, b = turned((a, b), twist, t)
            store(space, place, a)
            store(space, place + lanes, b)


@njit
def _write_signals(job: Any, space: Any, first: int, count: int, one: Any, lanes: int) -> None:
    twist = pointer(job.twist, one)
    for t in range(min(job.half, job.num_steps)):
        for v in range(count):
            column, place = _column(job, first + v, lanes), 2 * lanes * (job.half * v + t)
            a, b = turned((load(space, place), load(space, place + lanes)), twist, t)
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
def _write_spectrum(job: Any, space: Any, first: int, count: int, one: Any, lanes: int) -> None:
    mixtures, spectrum, row = pointer(job.mixtures, one), pointer(job.spectrum, one), 0
    size = one_of(pointer(job.sizes, job.half), job.num_stages - 1)
    for group in range(job.first_group, job.last_group):
        for j in range(size):
            for mixture in range(3):
                real, imaginary = _weights(mixtures, mixture)
                for v in range(count):
                    at = 2 * lanes * (job.half * v + group + job.half // size * j)
                    value = fma(load(space, at), real, load(space, at + lanes) * imaginary)
                    place = row * job.spectrum_stride + _column(job, first + v, lanes)
                    if job.streams:
                        stream(spectrum, place, value)
                    else:
                        store(spectrum, place, value)
                row += 1


@njit
def _read_spectrum(job: Any, space: Any, first: int, count: int, one: Any, lanes: int) -> None:
    """The conjugates of frequencies, weighted by the mixtures; nothing from groups that are not asked for."""
    mixtures, spectrum = pointer(job.mixtures, one), pointer(job.spectrum, one)
    size = one_of(pointer(job.sizes, job.half), job.num_stages - 1)
    for group in range(job.half // size):
        for j in range(size):
            row = 3 * ((group - job.first_group) * size + j)
            for v in range(count):
                place = row * job.spectrum_stride + _column(job, first + v, lanes)
                real = imaginary = splat(one - one)
                if job.first_group <= group < job.last_group:
                    for mixture in range(3):
                        number = load(spectrum, place + mixture * job.spectrum_stride)
                        of_real, of_imaginary = _weights(mixtures, mixture)
                        real = fma(number, of_real, real)
                        imaginary = imaginary - number * of_imaginary
                at = 2 * lanes * (job.half * v + group + job.half // size * j)
                store(space, at, real)
                store(space, at + lanes, imaginary)


@njit
def _stages(job: Any, here: int, there: int, count: int, back: bool, one: Any, lanes: int) -> int:
    """All stages of a few vectors; the address of the result, which is one of the two."""
    sizes, waves, units = pointer(job.sizes, job.half), pointer(job.waves, one), pointer(job.units, one)
    n, s = (1, job.half) if back else (job.half, 1)
    for index in range(job.num_stages):
        size = one_of(sizes, job.num_stages - 1 - index if back else index)
        if back:
            n, s = n * size, s // size
        for v in range(count):
            at = 2 * BYTES * job.half * v
            x, y = pointer(here + at, one), pointer(there + at, one)
            stage(x, y, waves, units, n, s, size, back, lanes)
        if not back:
            n, s = n // size, s * size
        here, there = there, here
    return here


@njit
def _transform(address: Any, back: bool, one: Any, lanes: int) -> None:
    job = carray(address, 1, JOB)[0]
    length = 2 * BYTES * job.half * job.num_vectors
    memory = np.empty(2 * length + BYTES, np.uint8)
    here = (np.int64(memory.ctypes.data) + BYTES - 1) // BYTES * BYTES
    total = (job.num_signals + lanes - 1) // lanes
    while True:
        share = next_share(address)
        if share >= job.num_shares:
            break
        end = total * (share + 1) // job.num_shares
        for first in range(total * share // job.num_shares, end, job.num_vectors):
            count = min(job.num_vectors, end - first)
            _block(job, here, here + length, first, count, back, one, lanes)


@njit
def _block(job: Any, here: int, there: int, first: int, count: int, back: bool, one: Any, lanes: int) -> None:
    if back:
        _read_spectrum(job, pointer(here, one), first, count, one, lanes)
        there = _stages(job, here, there, count, True, one, lanes)
        _write_signals(job, pointer(there, one), first, count, one, lanes)
    else:
        _read_signals(job, pointer(here, one), first, count, one, lanes)
        there = _stages(job, here, there, count, False, one, lanes)
        _write_spectrum(job, pointer(there, one), first, count, one, lanes)


def forward_32(address: Any) -> None:
    """Signals to their spectrum, in float32; the job at an address, of :data:`JOB`."""
    _transform(address, False, float32(1), 16)


def backward_32(address: Any) -> None:
    """The transpose, in float32."""
    _transform(address, True, float32(1), 16)


def forward_64(address: Any) -> None:
    """Signals to their spectrum, in float64."""
    _transform(address, False, float64(1), 8)


def backward_64(address: Any) -> None:
    """The transpose, in float64."""
    _transform(address, True, float64(1), 8)
