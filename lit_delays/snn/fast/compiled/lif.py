r"""The loops of :mod:`lit_delays.snn.fast.normed_lif` over a few neurons at a time, for all steps of time.

Their voltage is made again in the processor's cache, where the walk back finds it: every current and every
gradient is read from memory once. Neurons are grouped into vectors within each sample; the last one of a
sample reaches back into the one before it.

Letters: T steps, B samples, N neurons.
"""

from typing import Any

import numpy as np
from numba import njit

from lit_delays.snn.fast.compiled.blocks import WORK, by_blocks, constant
from lit_delays.snn.fast.compiled.vectors import (
    BYTES,
    fma,
    load,
    one_of,
    pointer,
    splat,
    store,
    store_one,
    stream,
    where_at_least,
)

JOB = np.dtype(WORK + [(name, np.int64) for name in (
    "num_steps", "num_samples", "num_neurons", "streams", "surrogate", "constants",
    "lengths", "current", "mean", "scale", "shift", "mask", "grad", "output",
    "sums", "products", "losses", "along", "offset",
)])  # fmt: skip
"""What is to do: numbers, and addresses of numbers.

``constants`` are the share of the voltage that a step keeps, the threshold, and two of the surrogate. Steps
behind the ``lengths`` of a sample have no spikes and no gradients.
"""

PLACE = BYTES // 8  # numbers of a vector's place, which has a vector of memory


@njit
def _places(job: Any, address: int, first: int, count: int, lanes: int) -> Any:
    """Of every vector its first column, of B N, its first neuron, and the length of its sample: in memory."""
    places, lengths = pointer(address, np.int64(0)), pointer(job.lengths, np.int64(0))
    in_sample = (job.num_neurons + lanes - 1) // lanes
    for j in range(count):
        sample, index = (first + j) // in_sample, (first + j) % in_sample
        neuron = min(index * lanes, job.num_neurons - lanes)
        store_one(places, PLACE * j, sample * job.num_neurons + neuron)
        store_one(places, PLACE * j + 1, neuron)
        store_one(places, PLACE * j + 2, one_of(lengths, sample))
    return places


@njit
def _place(places: Any, j: int) -> Any:
    return one_of(places, PLACE * j), one_of(places, PLACE * j + 1), one_of(places, PLACE * j + 2)


@njit
def _put(job: Any, place: int, value: Any, one: Any) -> None:
    if job.streams:
        stream(pointer(job.output, one), place, value)
    else:
        store(pointer(job.output, one), place, value)


@njit
def _voltage(job: Any, x: Any, rest: Any, neuron: int, keep: Any, one: Any) -> Any:
    """Before reset; the same to the last bit in both directions."""
    scale, shift = load(pointer(job.scale, one), neuron), load(pointer(job.shift, one), neuron)
    return fma(rest, keep, fma(x, scale, shift))


@njit
def _slope(job: Any, excess: Any, one: Any) -> Any:
    """The surrogate's: see :mod:`lit_delays.snn.surrogates`."""
    height, slope, nothing = constant(job, 2, one), constant(job, 3, one), splat(one - one)
    size = where_at_least(excess, nothing, excess, nothing - excess)
    if job.surrogate == 0:  # ATan
        return height / fma(excess * slope, excess * slope, splat(one))
    if job.surrogate == 1:  # FastSigmoid
        fallen = fma(size, slope, splat(one))
        return height / (fallen * fallen)
    if job.surrogate == 2:  # Triangle
        left = splat(one) - size * slope
        return height * where_at_least(left, nothing, left, nothing)
    inside = where_at_least(slope, size, splat(one), nothing)  # Boxcar, which ends before -slope
    return where_at_least(nothing - slope, excess, nothing, inside)


@njit
def _spikes(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    current, mask, rests = pointer(job.current, one), pointer(job.mask, one), pointer(here, one)
    keep, v_threshold, nothing = constant(job, 0, one), constant(job, 1, one), splat(one - one)
    places, step = _places(job, here + BYTES * count, first, count, lanes), job.num_samples * job.num_neurons
    for j in range(count):
        store(rests, lanes * j, nothing)
    for t in range(job.num_steps):
        for j in range(count):
            column, neuron, length = _place(places, j)
            if t >= length:
                _put(job, t * step + column, nothing, one)
                continue
            x, rest = load(current, t * step + column), load(rests, lanes * j)
            h = _voltage(job, x, rest, neuron, keep, one)
            store(rests, lanes * j, where_at_least(h, v_threshold, nothing, h))
            _put(job, t * step + column, where_at_least(h, v_threshold, load(mask, column), nothing), one)


@njit
def _rest(voltages: Any, t: int, j: int, count: int, v_threshold: Any, nothing: Any, lanes: int) -> Any:
    """What the step before has left."""
    if t == 0:
        return nothing
    before = load(voltages, lanes * (count * (t - 1) + j))
    return where_at_least(before, v_threshold, nothing, before)


@njit
def _remember(job: Any, here: int, places: Any, count: int, one: Any, lanes: int) -> None:
    """The voltages of all steps."""
    current, voltages = pointer(job.current, one), pointer(here, one)
    keep, v_threshold, nothing = constant(job, 0, one), constant(job, 1, one), splat(one - one)
    for t in range(job.num_steps):
        for j in range(count):
            column, neuron, _ = _place(places, j)
            x = load(current, t * job.num_samples * job.num_neurons + column)
            rest = _rest(voltages, t, j, count, v_threshold, nothing, lanes)
            store(voltages, lanes * (count * t + j), _voltage(job, x, rest, neuron, keep, one))


@njit
def _grads(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    """Gradients of the normed currents, and three sums over time."""
    behind, step = here + BYTES * count * job.num_steps, job.num_samples * job.num_neurons
    places = _places(job, behind + 4 * BYTES * count, first, count, lanes)
    _remember(job, here, places, count, one, lanes)
    sums, nothing = pointer(behind, one), splat(one - one)
    for j in range(4 * count):
        store(sums, lanes * j, nothing)
    for t in range(job.num_steps - 1, -1, -1):
        for j in range(count):
            column, neuron, length = _place(places, j)
            if t < length:
                _grad(job, t, column, neuron, step, j, count, here, sums, one, lanes)
            else:
                _put(job, t * step + column, nothing, one)
    for j in range(count):
        column, _, _ = _place(places, j)
        store(pointer(job.sums, one), column, load(sums, lanes * (count + j)))
        store(pointer(job.products, one), column, load(sums, lanes * (2 * count + j)))
        store(pointer(job.losses, one), column, load(sums, lanes * (3 * count + j)))


@njit
def _grad(
    job: Any, t: int, column: int, neuron: int, step: int, j: int, count: int, here: int, sums: Any,
    one: Any, lanes: int,
) -> None:  # fmt: skip
    keep, v_threshold, nothing = constant(job, 0, one), constant(job, 1, one), splat(one - one)
    voltages, later = pointer(here, one), lanes * j
    h = load(voltages, lanes * (count * t + j))
    above = load(pointer(job.grad, one), t * step + column) * load(pointer(job.mask, one), column)
    kept = where_at_least(h, v_threshold, nothing, keep * load(sums, later))
    g = fma(_slope(job, h - v_threshold, one), above, kept)
    _put(job, t * step + column, g, one)
    store(sums, later, g)
    centred = load(pointer(job.current, one), t * step + column) - load(pointer(job.mean, one), neuron)
    rest = _rest(voltages, t, j, count, v_threshold, nothing, lanes)
    _add(sums, lanes * (count + j), g, splat(one))
    _add(sums, lanes * (2 * count + j), g, centred)
    _add(sums, lanes * (3 * count + j), g, rest)


@njit
def _add(sums: Any, place: int, a: Any, b: Any) -> None:
    store(sums, place, fma(a, b, load(sums, place)))


@njit
def _through_norm(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    """From gradients of normed currents to those of the currents, which have a part in the means."""
    places, step = _places(job, here, first, count, lanes), job.num_samples * job.num_neurons
    current, grad = pointer(job.current, one), pointer(job.grad, one)
    scale, along, offset = pointer(job.scale, one), pointer(job.along, one), pointer(job.offset, one)
    for t in range(job.num_steps):
        for j in range(count):
            (column, neuron, length), value = _place(places, j), splat(one - one)
            if t < length:
                x, g = load(current, t * step + column), load(grad, t * step + column)
                through_mean = fma(x, load(along, neuron), load(offset, neuron))
                value = fma(g, load(scale, neuron), through_mean)
            _put(job, t * step + column, value, one)


SPIKES = by_blocks("spikes", JOB, _spikes)
GRADS = by_blocks("grads", JOB, _grads)
THROUGH_NORM = by_blocks("through_norm", JOB, _through_norm)
