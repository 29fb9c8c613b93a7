r"""The real discrete Fourier transform as products with matrices of cosines and sines, a quarter as large.

Cosines and sines are symmetric (:func:`fold`). Even frequencies repeat after half a period of the transform,
odd ones repeat with the other sign: the two groups need the sum and the difference of the two halves alone.
Mirrored on its half, a cosine or sine is itself or its own negative: even cosines and odd sines need the sum
of a half and its mirror image, even sines and odd cosines the difference. So every matrix spans a quarter.

What is folded may be a signal (T, B, N) or a kernel (K, O, I). Shape letters: T steps, B samples, N neurons,
K lags, O outputs, I inputs, f frequencies of a group, q steps of a quarter.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lit_delays.snn.fast.scratch import scratch, scratch_like


class Group(NamedTuple):
    """Cosines and sines of the even or the odd frequencies, for inputs, kernel and outputs."""

    inputs: Tensor  # (2, f, q)
    kernel: Tensor  # (2, f, q)
    outputs: Tensor  # (2, q, f)
    half: int  # h, steps of half a period
    sign: int  # with which they repeat after it


def circle(num_inputs: int, num_lags: int) -> int:
    """Shortest even period of the transform, in steps, in which inputs and lags do not wrap around."""
    return (num_inputs + num_lags) // 2 * 2


@lru_cache(maxsize=64)
def make_groups(
    num_inputs: int, num_lags: int, num_steps: int, dtype: torch.dtype, device: torch.device
) -> tuple[Group, Group]:
    """Make the constants for T inputs, K lags and T' outputs; in float64, then rounded once."""
    n = circle(num_inputs, num_lags)
    half, quarter = n // 2, n // 4 + 1
    frequency = torch.arange(2 * quarter).view(quarter, 2).T  # even ones, odd ones
    share = torch.where(frequency % half == 0, 1.0, 2.0).double()[..., None] / n  # most have a conjugate twin

    def table(steps: int) -> tuple[Tensor, Tensor]:
        return _cosines_and_sines(n, frequency, min(steps, half, quarter))

    (cos, sin), (cos_k, sin_k), (cos_y, sin_y) = table(num_inputs), table(num_lags), table(num_steps)
    outputs = _by_symmetry(share * cos_y, share * sin_y).mT
    made = _by_symmetry(cos, -sin), _by_symmetry(cos_k, -sin_k), outputs
    inputs, kernel, outputs = (matrix.to(device, dtype).contiguous() for matrix in made)
    even, odd = (Group(inputs[i], kernel[i], outputs[i], half, sign) for i, sign in enumerate((1, -1)))
    return even, odd


def _cosines_and_sines(n: int, frequency: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``(2, f, steps)``; zeros for a frequency above the highest."""
    phase = frequency[..., None] * torch.arange(steps) % n
    angle, exists = 2 * torch.pi * phase.double() / n, (frequency <= n // 2)[..., None]
    return angle.cos() * exists, angle.sin() * exists


def _by_symmetry(cos: Tensor, sin: Tensor) -> Tensor:
    """Of each group first those that are their own mirror image, then those that are its negative."""
    return torch.stack([torch.stack([cos[0], sin[0]]), torch.stack([sin[1], cos[1]])])


def fold(x: Tensor, group: Group, dtype: torch.dtype, name: str) -> Tensor:
    """What each symmetry of a group needs, ``(2, q, B, N)``: sum or difference of halves, then of mirrors.

    Where nothing is folded it is ``x`` itself, twice; else it lies in the scratch memory of that name.
    """
    steps = min(len(x), group.half)
    quarter, past = min(steps, group.half // 2 + 1), len(x) - steps
    if len(x) == quarter:
        return x.to(dtype).expand(2, *x.shape)
    x = x if x.dtype == dtype else scratch("numbers", x.shape, dtype, x.device).copy_(x)
    halves = scratch_like("halves", x, steps, *x.shape[1:])
    torch.add(x[:past], x[steps:], alpha=group.sign, out=halves[:past])
    halves[past:] = x[past:steps]
    parts = scratch_like(name, x, 2, quarter, *x.shape[1:])
    first, last = _paired(steps, quarter, group.half)  # t with a mirror image half - t
    parts[:, :first] = halves[:first]
    parts[:, last:] = halves[last:quarter]
    mirrored = _backwards(halves[quarter:], scratch_like("mirrored", halves, steps - quarter, *x.shape[1:]))
    for part, sign in zip(parts, (1, -1), strict=True):
        torch.add(halves[first:last], mirrored, alpha=sign, out=part[first:last])
    return parts


def unfold(parts: Tensor, group: Group, out: Tensor, adds: bool = False) -> None:
    """Write, or add, what a group gives to the steps of ``out``: :func:`fold` transposed. Parts are lost."""
    steps = min(len(out), group.half)
    quarter, past = parts.shape[1], len(out) - steps
    given = scratch_like("halves", parts, steps, *out.shape[1:])
    torch.add(parts[0], parts[1], out=given[:quarter])
    first, last = _paired(steps, quarter, group.half)
    _backwards(parts[0, first:last].sub_(parts[1, first:last]), given[quarter:])
    if adds or group.sign < 0:
        out[:steps] += given
        out[steps:].add_(given[:past], alpha=group.sign)
    else:
        out[:steps], out[steps:] = given, given[:past]


def _backwards(x: Tensor, out: Tensor) -> Tensor:
    """``x.flip(0)``, which always takes fresh memory."""
    return torch.index_select(x, 0, torch.arange(len(x) - 1, -1, -1, device=x.device), out=out)


def _paired(steps: int, quarter: int, half: int) -> tuple[int, int]:
    return (half - steps + 1, half - quarter + 1) if steps > quarter else (quarter, quarter)
