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

from lit_delays.snn.fast.compiled.vectors import fma, load, njit_as, one_of, splat, store

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
def _as_it_is(a: Any, waves: Any, index: int) -> Any:
    return a


def _loop(size: int, is_transposed: bool) -> Any:
    """A stage of one size; what it depends on is known when it is compiled, else every turn cost time."""
    before, after = (turned, _as_it_is) if is_transposed else (_as_it_is, turned)

    @njit_as(f"stage_{size}_{is_transposed}")
    def loop(x: Any, y: Any, waves: Any, units: Any, n: int, s: int, lanes: int) -> None:
        for p in range(n // size):
            for q in range(s):
                turn, together, apart, far = s * p, q + s * size * p, q + s * p, s * (n // size)
                i, di, o, do = (together, s, apart, far) if is_transposed else (apart, far, together, s)
                a = _read(x, i, lanes)
                b = before(_read(x, i + di, lanes), waves, turn)
                if size == 2:
                    a, b = _plus(a, b), _minus(a, b)
                else:
                    c = before(_read(x, i + 2 * di, lanes), waves, 2 * turn)
                    if size == 3:
                        a, b, c = _three(a, b, c, units)
                    else:
                        d = before(_read(x, i + 3 * di, lanes), waves, 3 * turn)
                        if size == 4:
                            a, b, c, d = _four(a, b, c, d)
                        else:
                            e = before(_read(x, i + 4 * di, lanes), waves, 4 * turn)
                            a, b, c, d, e = _five(a, b, c, d, e, units)
                            _write(y, o + 4 * do, lanes, after(e, waves, 4 * turn))
                        _write(y, o + 3 * do, lanes, after(d, waves, 3 * turn))
                    _write(y, o + 2 * do, lanes, after(c, waves, 2 * turn))
                _write(y, o, lanes, a)
                _write(y, o + do, lanes, after(b, waves, turn))

    return loop


def _stage(is_transposed: bool) -> Any:
    two, three, four, five = (_loop(size, is_transposed) for size in (2, 3, 4, 5))

    @njit_as(f"stage_{is_transposed}")
    def stage(x: Any, y: Any, waves: Any, units: Any, n: int, s: int, size: int, lanes: int) -> None:
        """One stage from x to y, or its transpose.

        Args:
            x: Where to read, ``n s`` numbers.
            y: Where to write.
            waves: Turns by every part of a circle of ``n s``.
            units: :data:`UNITS`.
            n: Numbers that each transform of this stage takes.
            s: Places with a transform each.
            size: Of the stage, one of :data:`SIZES`.
            lanes: Numbers of a vector.
        """
        if size == 2:
            two(x, y, waves, units, n, s, lanes)
        elif size == 3:
            three(x, y, waves, units, n, s, lanes)
        elif size == 4:
            four(x, y, waves, units, n, s, lanes)
        else:
            five(x, y, waves, units, n, s, lanes)

    return stage


stage, transposed_stage = _stage(False), _stage(True)
