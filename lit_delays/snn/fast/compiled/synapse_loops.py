r"""The loops of :mod:`lit_delays.snn.fast.sparse_sum`: what each synapse adds, sample beside sample.

Signals of 16 samples (8 in float64) lie in vectors, all steps of a signal one after the other, with steps of
nothing before or behind them, so that no loop asks where a signal begins or ends.

Letters: T steps, B samples, V vectors of samples, N signals; a layout ``(V, N, rows, lanes)``.
"""

from typing import Any

import numpy as np
from numba import njit

from lit_delays.snn.fast.compiled.blocks import WORK, by_blocks
from lit_delays.snn.fast.compiled.vectors import (
    fma,
    load,
    load_truths,
    one_of,
    pointer,
    splat,
    store,
    store_one,
    total,
    transpose,
)

STEPS = 8  # or lags of a gradient, that a loop makes at once: what it reads serves all of them
LAGS_AT_ONCE = 4  # as many as a loop writes out; of a number of lags that it divides
JOB = np.dtype(WORK + [(name, np.int64) for name in (
    "num_steps", "num_samples", "num_signals", "lead", "rows", "plain", "has_truths", "layout",
    "num_lags", "direction", "num_sources", "source_lead", "source_rows", "sources",
    "starts", "source_of", "taps_of", "target_of", "taps",
)])  # fmt: skip
"""What is to do: numbers, and addresses of numbers.

The synapses of signal n are ``starts[n]`` to ``starts[n + 1]``; ``source_of`` and ``target_of`` tell the
signals of a synapse, ``taps_of`` which taps it has. In ``direction`` -1 later lags are of earlier steps.
"""


@njit
def _square(job: Any, item: int, lanes: int) -> Any:
    """Of a block of signals its first sample, the number of samples, and its first signal."""
    blocks = (job.num_signals + lanes - 1) // lanes
    sample, signal = item // blocks * lanes, min(item % blocks * lanes, job.num_signals - lanes)
    return sample, min(lanes, job.num_samples - sample), signal


@njit
def _spread(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    """From ``(T, B, N)``, numbers or truths, to the layout, and nothing around it."""
    layout, plain = pointer(job.layout, one), pointer(job.plain, one)
    space, truths, nothing = pointer(here, one), pointer(job.plain, np.uint8(0)), splat(one - one)
    for item in range(first, first + count):
        sample, num_samples, signal = _square(job, item, lanes)
        begin = (sample // lanes * job.num_signals + signal) * job.rows
        _clear(job, begin, one, lanes)
        for t in range(job.num_steps):
            at, to = (t * job.num_samples + sample) * job.num_signals + signal, (begin + job.lead + t) * lanes
            if num_samples == lanes and not job.has_truths:
                transpose(plain, at, job.num_signals, layout, to, job.rows * lanes)
                continue
            for lane in range(lanes):
                value, row = nothing, at + lane * job.num_signals
                if lane < num_samples:
                    value = load_truths(truths, row, one) if job.has_truths else load(plain, row)
                store(space, lane * lanes, value)
            transpose(space, 0, lanes, layout, to, job.rows * lanes)


@njit
def _clear(job: Any, begin: int, one: Any, lanes: int) -> None:
    """Steps before and behind the real ones of a block of signals."""
    layout, nothing = pointer(job.layout, one), splat(one - one)
    for signal in range(lanes):
        for row in range(job.lead):
            store(layout, (begin + signal * job.rows + row) * lanes, nothing)
        for row in range(job.lead + job.num_steps, job.rows):
            store(layout, (begin + signal * job.rows + row) * lanes, nothing)


@njit
def _collect(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    """From the layout to ``(T, B, N)``."""
    layout, plain, space = pointer(job.layout, one), pointer(job.plain, one), pointer(here, one)
    for item in range(first, first + count):
        sample, num_samples, signal = _square(job, item, lanes)
        begin = (sample // lanes * job.num_signals + signal) * job.rows
        for t in range(job.num_steps):
            at, to = (begin + t) * lanes, (t * job.num_samples + sample) * job.num_signals + signal
            if num_samples == lanes:
                transpose(layout, at, job.rows * lanes, plain, to, job.num_signals)
                continue
            transpose(layout, at, job.rows * lanes, space, 0, lanes)
            for lane in range(num_samples):
                store(plain, to + lane * job.num_signals, load(space, lane * lanes))


@njit
def _source(job: Any, vector: int, signal: int) -> Any:
    """The first real row of a signal."""
    return (vector * job.num_sources + signal) * job.source_rows + job.source_lead


@njit
def _load_8(numbers: Any, at: int, lanes: int) -> Any:
    return (
        load(numbers, at), load(numbers, at + lanes), load(numbers, at + 2 * lanes),
        load(numbers, at + 3 * lanes), load(numbers, at + 4 * lanes), load(numbers, at + 5 * lanes),
        load(numbers, at + 6 * lanes), load(numbers, at + 7 * lanes),
    )  # fmt: skip


@njit
def _store_8(numbers: Any, at: int, lanes: int, values: Any) -> None:
    a, b, c, d, e, f, g, h = values
    store(numbers, at, a)
    store(numbers, at + lanes, b)
    store(numbers, at + 2 * lanes, c)
    store(numbers, at + 3 * lanes, d)
    store(numbers, at + 4 * lanes, e)
    store(numbers, at + 5 * lanes, f)
    store(numbers, at + 6 * lanes, g)
    store(numbers, at + 7 * lanes, h)


@njit
def _add_8(w: Any, values: Any, sums: Any) -> Any:
    a, b, c, d, e, f, g, h = values
    p, q, r, s, t, u, v, x = sums
    return (
        fma(w, a, p), fma(w, b, q), fma(w, c, r), fma(w, d, s),
        fma(w, e, t), fma(w, f, u), fma(w, g, v), fma(w, h, x),
    )  # fmt: skip


@njit
def _nothing_8(one: Any) -> Any:
    nothing = splat(one - one)
    return nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing


@njit
def _next(values: Any, numbers: Any, at: int) -> Any:
    """Values one row on."""
    _, b, c, d, e, f, g, h = values
    return b, c, d, e, f, g, h, load(numbers, at)


@njit
def _sum_steps(job: Any, vector: int, signal: int, t: int, one: Any, lanes: int) -> Any:
    """Eight steps of what all synapses of a signal add, four lags at a time."""
    sources, taps, index = pointer(job.sources, one), pointer(job.taps, one), np.int64(0)
    starts, source_of = pointer(job.starts, index), pointer(job.source_of, index)
    sums = _nothing_8(one)
    for pair in range(one_of(starts, signal), one_of(starts, signal + 1)):
        row = (_source(job, vector, one_of(source_of, pair)) + t) * lanes
        tap = one_of(pointer(job.taps_of, index), pair) * job.num_lags
        for k in range(0, job.num_lags, LAGS_AT_ONCE):
            earliest = row + (k if job.direction > 0 else -k - LAGS_AT_ONCE + 1) * lanes
            first = tap + (k if job.direction > 0 else k + LAGS_AT_ONCE - 1)
            values = _load_8(sources, earliest, lanes)
            sums = _add_8(splat(one_of(taps, first)), values, sums)
            values = _next(values, sources, earliest + 8 * lanes)
            sums = _add_8(splat(one_of(taps, first + job.direction)), values, sums)
            values = _next(values, sources, earliest + 9 * lanes)
            sums = _add_8(splat(one_of(taps, first + 2 * job.direction)), values, sums)
            values = _next(values, sources, earliest + 10 * lanes)
            sums = _add_8(splat(one_of(taps, first + 3 * job.direction)), values, sums)
    return sums


@njit
def _sums(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    layout = pointer(job.layout, one)
    for item in range(first, first + count):
        vector, signal = item // job.num_signals, item % job.num_signals
        for t in range(0, job.rows, STEPS):
            sums = _sum_steps(job, vector, signal, t, one, lanes)
            _store_8(layout, (item * job.rows + t) * lanes, lanes, sums)


@njit
def _lag_products(job: Any, vector: int, pair: int, k: int, sums: Any, one: Any, lanes: int) -> Any:
    """Eight lags of the gradient of a synapse, the latest first, over the steps of a vector of samples."""
    sources, above, index = pointer(job.sources, one), pointer(job.layout, one), np.int64(0)
    row = (_source(job, vector, one_of(pointer(job.source_of, index), pair)) - k - 7) * lanes
    at = (vector * job.num_signals + one_of(pointer(job.target_of, index), pair)) * job.rows * lanes
    values = _load_8(sources, row, lanes)
    for t in range(0, job.num_steps, STEPS):
        for step in range(t, t + STEPS):  # unrolled: what moved on by one is in its place again after eight
            sums = _add_8(load(above, at + step * lanes), values, sums)
            values = _next(values, sources, row + (step + 8) * lanes)
    return sums


@njit
def _tap_grads(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    space, taps = pointer(here, one), pointer(job.taps, one)
    for pair in range(first, first + count):
        for k in range(0, job.num_lags, STEPS):
            sums = _nothing_8(one)
            for vector in range((job.num_samples + lanes - 1) // lanes):
                sums = _lag_products(job, vector, pair, k, sums, one, lanes)
            _store_8(space, 0, lanes, sums)
            for lag in range(k, min(k + STEPS, job.num_lags)):
                latest_first = load(space, (STEPS - 1 - lag + k) * lanes)
                store_one(taps, pair * job.num_lags + lag, total(latest_first))


SPREAD = by_blocks("spread", JOB, _spread)
COLLECT = by_blocks("collect", JOB, _collect)
SUMS = by_blocks("sums", JOB, _sums)
TAP_GRADS = by_blocks("tap_grads", JOB, _tap_grads)
