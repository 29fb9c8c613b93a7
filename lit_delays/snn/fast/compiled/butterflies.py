r"""Stages of 2, 3, 4 and 5 of a fast Fourier transform, on vectors of signals side by side.

A stage of size r takes transforms of n numbers at s places to transforms of n / r numbers at s r places,

.. math:: y_{q + s (r p + k)} = e^{-2 \pi i\, k p / n}
          \sum_{j < r} e^{-2 \pi i\, j k / r}\; x_{q + s (p + j n / r)}.

Its transpose goes from y to x: the turn comes before the sum. A number is a pair of vectors, its real and its
imaginary part, one after the other in memory.
"""

from typing import Any

import numpy as np
from numba import njit

from lit_delays.snn.fast.compiled.vectors import fma, load, one_of, splat, store

SIZES = (4, 3, 5, 2)
ANGLES = 2 * np.pi * np.array([1 / 3, 1 / 5, 2 / 5])
UNITS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).ravel()  # of the sums of three and five


@njit
def _read(x: Any, place: int, lanes: int) -> Any:
    return load(x, 2 * lanes * place), load(x, 2 * lanes * place + lanes)


@njit
def _write(y: Any, place: int, lanes: int, value: Any) -> None:
    store(y, 2 * lanes * place, value[0])
    store(y, 2 * lanes * place + lanes, value[1])


@njit
def turned(a: Any, waves: Any, index: int) -> Any:
    """Times a number of ``waves``, which holds real and imaginary parts in turn."""
    real, imaginary = splat(one_of(waves, 2 * index)), splat(one_of(waves, 2 * index + 1))
    return a[0] * real - a[1] * imaginary, fma(a[0], imaginary, a[1] * real)


@njit
def _plus(a: Any, b: Any) -> Any:
    return a[0] + b[0], a[1] + b[1]


@njit
def _minus(a: Any, b: Any) -> Any:
    return a[0] - b[0], a[1] - b[1]


@njit
def _behind(a: Any, b: Any) -> Any:  # a - i b
    return a[0] + b[1], a[1] - b[0]


@njit
def _ahead(a: Any, b: Any) -> Any:  # a + i b
    return a[0] - b[1], a[1] + b[0]


@njit
def _mixed(a: Any, for_a: Any, b: Any, for_b: Any) -> Any:
    p, q = splat(for_a), splat(for_b)
    return fma(a[0], p, b[0] * q), fma(a[1], p, b[1] * q)


@njit
def _scaled(a: Any, factor: Any) -> Any:
    return a[0] * splat(factor), a[1] * splat(factor)


@njit
def _three(a: Any, b: Any, c: Any, units: Any) -> Any:
    both, rise = _plus(b, c), _scaled(_minus(b, c), one_of(units, 1))
    middle = _plus(a, _scaled(both, one_of(units, 0)))
    return _plus(a, both), _behind(middle, rise), _ahead(middle, rise)


@njit
def _four(a: Any, b: Any, c: Any, d: Any) -> Any:
    even, odd, left, right = _plus(a, c), _plus(b, d), _minus(a, c), _minus(b, d)
    return _plus(even, odd), _behind(left, right), _minus(even, odd), _ahead(left, right)


@njit
def _five(a: Any, b: Any, c: Any, d: Any, e: Any, units: Any) -> Any:
    outer, inner, far, near = _plus(b, e), _plus(c, d), _minus(b, e), _minus(c, d)
    first = _plus(a, _mixed(outer, one_of(units, 2), inner, one_of(units, 4)))
    second = _plus(a, _mixed(outer, one_of(units, 4), inner, one_of(units, 2)))
    rise, fall = (
        _mixed(far, one_of(units, 3), near, one_of(units, 5)),
        _mixed(far, one_of(units, 5), near, -one_of(units, 3)),
    )
    total = _plus(a, _plus(outer, inner))
    return total, _behind(first, rise), _behind(second, fall), _ahead(second, fall), _ahead(first, rise)


@njit
def _ways(p: int, q: int, n: int, s: int, size: int, back: bool) -> Any:
    """First place and distance where to read, the same where to write, and the turn before and after."""
    near, far, apart = q + s * size * p, q + s * p, s * (n // size)
    return (near, s, far, apart, s * p, 0) if back else (far, apart, near, s, 0, s * p)


@njit
def stage(x: Any, y: Any, waves: Any, units: Any, n: int, s: int, size: int, back: bool, lanes: int) -> None:
    """One stage from x to y, or its transpose.

    Args:
        x: Where to read, ``n s`` numbers.
        y: Where to write.
        waves: Turns by every part of a circle of ``n s``.
        units: :data:`UNITS`.
        n: Numbers that each transform of this stage takes.
        s: Places with a transform each.
        size: Of the stage, one of :data:`SIZES`.
        back: Whether to run the transpose.
        lanes: Numbers of a vector.
    """
    for p in range(n // size):
        for q in range(s):
            i, di, o, do, before, after = _ways(p, q, n, s, size, back)
            a = _read(x, i, lanes)
            b = turned(_read(x, i + di, lanes), waves, before)
            if size == 2:
                a, b = _plus(a, b), _minus(a, b)
            else:
                c = turned(_read(x, i + 2 * di, lanes), waves, 2 * before)
                if size == 3:
                    a, b, c = _three(a, b, c, units)
                else:
                    d = turned(_read(x, i + 3 * di, lanes), waves, 3 * before)
                    if size == 4:
                        a, b, c, d = _four(a, b, c, d)
                    else:
                        e = turned(_read(x, i + 4 * di, lanes), waves, 4 * before)
                        a, b, c, d, e = _five(a, b, c, d, e, units)
                        _write(y, o + 4 * do, lanes, turned(e, waves, 4 * after))
                    _write(y, o + 3 * do, lanes, turned(d, waves, 3 * after))
                _write(y, o + 2 * do, lanes, turned(c, waves, 2 * after))
            _write(y, o, lanes, a)
            _write(y, o + do, lanes, turned(b, waves, after))
