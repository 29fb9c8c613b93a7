r"""The loops of :mod:`lit_delays.snn.fast.soft_kernel` for Gaussians: a few synapses at a time, for all lags.

A power of e is one of two times a short series,

.. math:: e^v = 2^n e^f, \qquad n = \mathrm{round}(v / \ln 2), \qquad f = v - n \ln 2.

Letters: K lags; O outputs, I inputs, S synapses per pair.
"""

import math
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from lit_delays.snn.fast.compiled.blocks import NUMBERS, WORK, Loops, by_blocks, constant, share_out
from lit_delays.snn.fast.compiled.threads import run
from lit_delays.snn.fast.compiled.vectors import (
    BYTES,
    fma,
    load,
    pointer,
    splat,
    store,
    times_power_of_two,
    where_at_least,
)
from lit_delays.snn.fast.memory_pool import recycled
from lit_delays.snn.kernels import EPSILON

JOB = np.dtype(WORK + [(name, np.int64) for name in (
    "num_lags", "num_pairs", "num_synapses", "last_term", "constants",
    "weight", "delay", "kernel", "grad_weight", "grad_delay",
)])  # fmt: skip
"""What is to do: numbers, and addresses of numbers."""

LOG2_E, LAST_BITS, MINUS_LN2, LEAST, MINUS_HALF, INVERSE, GUARD, SERIES = range(8)  # of the constants
TERMS = {torch.float32: 8, torch.float64: 14}  # of the series: enough for every digit
WIDTH = 8  # vectors of a block


@njit
def _exp(job: Any, v: Any, one: Any) -> Any:
    """Of numbers that are not above 0."""
    last_bits = constant(job, LAST_BITS, one)
    power = fma(v, constant(job, LOG2_E, one), last_bits)
    n = power - last_bits
    f = fma(n, constant(job, MINUS_LN2, one), v)
    series = constant(job, SERIES + job.last_term, one)
    for term in range(job.last_term - 1, -1, -1):
        series = fma(series, f, constant(job, SERIES + term, one))
    result = where_at_least(v, constant(job, LEAST, one), times_power_of_two(series, power), splat(one - one))
    return where_at_least(v, v, result, v)  # what is no number stays so


@njit
def _height(job: Any, distance: Any, one: Any) -> Any:
    return _exp(job, distance * distance * constant(job, MINUS_HALF, one), one)


@njit
def _pair(job: Any, vector: int, lanes: int) -> Any:
    return min(vector * lanes, job.num_pairs - lanes)


@njit
def _add_taps(job: Any, place: int, heights: Any, taps: Any, one: Any, lanes: int) -> None:
    """The taps of one synapse of every pair."""
    delay, total = load(pointer(job.delay, one), place), constant(job, GUARD, one)
    lag = splat(one - one)
    for k in range(job.num_lags):
        height = _height(job, lag - delay, one)
        store(heights, lanes * k, height)
        total, lag = total + height, lag + splat(one)
    factor = load(pointer(job.weight, one), place) / total
    for k in range(job.num_lags):
        store(taps, lanes * k, fma(load(heights, lanes * k), factor, load(taps, lanes * k)))


@njit
def _kernel(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    heights, size = pointer(here, one), BYTES * job.num_lags
    for v in range(count):
        taps = pointer(here + size * (1 + v), one)
        for k in range(job.num_lags):
            store(taps, lanes * k, splat(one - one))
        for s in range(job.num_synapses):
            _add_taps(job, s * job.num_pairs + _pair(job, first + v, lanes), heights, taps, one, lanes)
    for k in range(job.num_lags):
        for v in range(count):
            value = load(pointer(here + size * (1 + v), one), lanes * k)
            store(pointer(job.kernel, one), k * job.num_pairs + _pair(job, first + v, lanes), value)


@njit
def _grad(job: Any, place: int, above: Any, one: Any, lanes: int) -> None:
    """Gradients of one synapse of every pair, from those of the lags."""
    weight, delay = load(pointer(job.weight, one), place), load(pointer(job.delay, one), place)
    total, lag, inverse = constant(job, GUARD, one), splat(one - one), constant(job, INVERSE, one)
    lost, of_weight, of_delay = lag, lag, lag
    for k in range(job.num_lags):
        height, grad = _height(job, lag - delay, one), load(above, lanes * k)
        slope = height * (lag - delay) * inverse
        total, lost = total + height, lost + slope
        of_weight, of_delay = fma(height, grad, of_weight), fma(slope, grad, of_delay)
        lag = lag + splat(one)
    of_weight = of_weight / total
    store(pointer(job.grad_weight, one), place, of_weight)
    store(pointer(job.grad_delay, one), place, weight * ((of_delay - of_weight * lost) / total))


@njit
def _grads(job: Any, here: int, first: int, count: int, one: Any, lanes: int) -> None:
    size = BYTES * job.num_lags
    for k in range(job.num_lags):
        for v in range(count):
            place = k * job.num_pairs + _pair(job, first + v, lanes)
            store(pointer(here + size * v, one), lanes * k, load(pointer(job.kernel, one), place))
    for s in range(job.num_synapses):
        for v in range(count):
            place = s * job.num_pairs + _pair(job, first + v, lanes)
            _grad(job, place, pointer(here + size * v, one), one, lanes)


KERNEL = by_blocks("kernel", JOB, _kernel)
GRADS = by_blocks("kernel_grads", JOB, _grads)


def can(weight: Tensor) -> bool:
    """Whether pairs fill a vector."""
    pairs = math.prod(weight.shape[:-1])
    return weight.dtype in NUMBERS and weight.device.type == "cpu" and pairs * weight.itemsize >= BYTES


def dense_kernel(weight: Tensor, delay: Tensor, sigma: Tensor, num_lags: int) -> Tensor:
    """Weight of every lag, shape ``(K, O, I)``, of weights and delays ``(O, I, S)``."""
    dense = recycled((num_lags, *weight.shape[:-1]), weight.dtype, weight.device)
    _run(KERNEL, sigma, dense, weight=_synapses_first(weight), delay=_synapses_first(delay))
    return dense


def grads(grad: Tensor, weight: Tensor, delay: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of weights and delays from that of the dense kernel."""
    own = {"weight": _synapses_first(weight), "delay": _synapses_first(delay)}
    results = {f"grad_{name}": torch.empty_like(values) for name, values in own.items()}
    _run(GRADS, sigma, grad.contiguous(), **own, **results)
    of_weight, of_delay = (result.movedim(0, -1).contiguous() for result in results.values())
    return of_weight, of_delay


def _synapses_first(values: Tensor) -> Tensor:
    return values.detach().movedim(-1, 0).contiguous()


def _run(loops: Loops, sigma: Tensor, kernel: Tensor, **tensors: Tensor) -> None:
    job, dtype, num_lags = np.zeros(1, JOB), kernel.dtype, len(kernel)
    num_pairs = kernel[0].numel()
    share_out(job, -(-num_pairs * kernel.itemsize // BYTES), WIDTH, BYTES * num_lags * (WIDTH + 1))
    job["num_lags"], job["num_pairs"], job["num_synapses"] = num_lags, num_pairs, len(tensors["weight"])
    numbers = _constants(dtype, float(sigma))
    job["constants"], job["last_term"] = numbers.ctypes.data, TERMS[dtype] - 1
    for name, tensor in tensors.items():
        job[name] = tensor.data_ptr()
    job["kernel"] = kernel.data_ptr()
    run(loops[dtype], job)


def _constants(dtype: torch.dtype, sigma: float) -> np.ndarray[Any, Any]:
    number = NUMBERS[dtype]
    info = np.finfo(number)
    ln2 = math.log(2)
    of_exp = [1 / ln2, 1.5 * 2.0**info.nmant, -ln2, info.minexp * ln2]
    series = [1 / math.factorial(term) for term in range(TERMS[dtype])]
    inverse = 1 / max(sigma**2, float(info.tiny))
    return np.array([*of_exp, -0.5 * inverse, inverse, EPSILON, *series], number)
