"""The fast transform of :mod:`.fft` for tensors: its tables, and the work as the loops take it.

Shape letters: T steps, B samples, N neurons, G groups of frequencies, R rows of a group.
"""

import math
from functools import lru_cache
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lit_delays.snn.fast.circle import Dft
from lit_delays.snn.fast.compiled import fft
from lit_delays.snn.fast.compiled.blocks import NUMBERS, share_out
from lit_delays.snn.fast.compiled.butterflies import SIZES, UNITS
from lit_delays.snn.fast.compiled.threads import run
from lit_delays.snn.fast.compiled.vectors import BYTES

NUMBER = 20  # multiply-adds inside a large product, in the time of a number that is read or written
CACHE = 2**18  # bytes of a thread's numbers while they are transformed
GROUPS = 4  # of frequencies, or more: as many pieces can a large kernel be transformed in
Numbers = np.ndarray[Any, Any]


class Transform(NamedTuple):
    """Tables of a transform; signals may be shorter than its circle.

    Attributes:
        num_groups: Groups of frequencies that can be asked for alone.
        of_all: The stages of all groups at once.
        of_group: The stages of one.
        tables: What the loops read, by its name in :data:`.fft.JOB`.
    """

    num_groups: int
    of_all: "Stages"
    of_group: "Stages"
    tables: dict[str, Numbers]

    @property
    def size(self) -> tuple[int, int]:
        """Groups and rows of a group."""
        return self.num_groups, 3 * self.of_group.circle

    def forward(self, x: Tensor, out: Tensor, groups: slice = slice(None)) -> None:
        """Transform ``(T, B, N)``, numbers or truths, to some groups, ``out`` of shape ``(G, R, B, N)``."""
        lanes = BYTES // out.itemsize
        if (num_signals := x[0].numel()) < lanes:
            whole = out.new_empty(*out.shape[:2], 1, lanes)
            self.forward(_filled_up(x, lanes), whole, groups)
            out.copy_(whole[..., :num_signals].view(out.shape))
            return
        run(fft.FORWARD[out.dtype], self._job(x, out, groups))

    def backward(
        self, spectrum: Tensor, out: Tensor, groups: slice = slice(None), *, adds: bool = False
    ) -> None:
        """Write, or add, what some groups ``(G, R, B, N)`` give to ``out``, ``(T, B, N)``."""
        lanes = BYTES // out.itemsize
        if (num_signals := out[0].numel()) < lanes:
            whole = _filled_up(out, lanes)
            self.backward(_filled_up(spectrum.flatten(0, 1), lanes)[None], whole, groups, adds=adds)
            out.copy_(whole[..., :num_signals].view(out.shape))
            return
        if not adds and not self._has_all(groups):  # every group adds its part
            out.zero_()
            adds = True
        run(fft.BACKWARD[out.dtype], self._job(out, spectrum, groups, adds))

    def _has_all(self, groups: slice) -> bool:
        return groups.indices(self.num_groups) == (0, self.num_groups, 1)

    def _job(self, signals: Tensor, spectrum: Tensor, groups: slice, adds: bool = False) -> Numbers:
        lanes, num_signals = BYTES // spectrum.itemsize, signals[0].numel()
        job, has_all = np.zeros(1, fft.JOB), self._has_all(groups)
        stages = self.of_all if has_all else self.of_group
        width = max(1, min(8, CACHE // (4 * BYTES * stages.circle)))
        share_out(job, -(-num_signals // lanes), width, 4 * BYTES * stages.circle * width)
        job["signals"], job["signal_stride"] = signals.data_ptr(), signals.stride(0)
        job["num_signals"], job["num_steps"] = num_signals, len(signals)
        job["has_truths"], job["adds"] = signals.dtype == torch.bool, adds
        job["spectrum"], job["spectrum_stride"] = spectrum.data_ptr(), spectrum.stride(1)
        job["first_group"], job["last_group"], _ = (0, 1, 1) if has_all else groups.indices(self.num_groups)
        job["half"], job["apart"] = self.of_all.circle, self.num_groups if has_all else 1
        job["circle"], job["num_stages"] = stages.circle, len(stages.sizes)
        job["sizes"], job["waves"] = stages.sizes.ctypes.data, stages.waves.ctypes.data
        for name, table in self.tables.items():
            job[name] = table.ctypes.data
        rows_fit = spectrum.data_ptr() % BYTES == 0 and spectrum.stride(1) * spectrum.itemsize % BYTES == 0
        job["streams"] = rows_fit and num_signals % lanes == 0
        return job


class Stages(NamedTuple):
    """Tables of the stages of a plain transform.

    Attributes:
        circle: Numbers that it takes.
        sizes: Of its stages.
        waves: Turns by every part of its circle.
    """

    circle: int
    sizes: Numbers
    waves: Numbers


def _filled_up(signals: Tensor, lanes: int) -> Tensor:
    """A vector of signals, shape ``(T, 1, lanes)``, zeros behind the few that are there."""
    few = signals.flatten(1)
    return torch.nn.functional.pad(few, (0, lanes - few.shape[1])).unsqueeze(1)


@lru_cache(maxsize=256)
def make_transform(
    n: int,
    columns: int,
    num_steps: int,
    mixtures: tuple[tuple[float, float], ...],
    dtype: torch.dtype,
    device: torch.device,
) -> Transform:
    """The tables, in float64 and then rounded once; arguments as of the one in matrices.

    Example:
        >>> made = make_transform(120, 0, 100, ((1, 1), (1, 0), (0, 1)), torch.float32, torch.device("cpu"))
        >>> made.size
        (5, 36)
    """
    half, lanes, sizes = n // 2, BYTES // dtype.itemsize, factors(n // 2)
    number = NUMBERS[dtype]
    first = _num_first_stages(sizes)
    num_groups = math.prod(sizes[:first])
    turns = (4 * np.arange(num_groups)[:, None] + 1) * np.arange(half) / (4 * half)
    tables = {
        "twist": _waves(turns),
        "units": UNITS,
        "mixtures": np.ravel(mixtures),
        "fresh": np.repeat([0.0, 1.0], lanes),
    }
    typed = {name: np.ascontiguousarray(table, number) for name, table in tables.items()}
    of_all, of_group = (
        Stages(circle, np.array(own, np.int64), _waves(np.arange(circle) / circle).astype(number))
        for own, circle in ((sizes, half), (sizes[first:], half // num_groups))
    )
    return Transform(num_groups, of_all, of_group, typed)


def _num_first_stages(sizes: list[int]) -> int:
    """Stages that part the groups from each other: all but the last, or fewer where that is enough."""
    parted = (count for count in range(len(sizes)) if math.prod(sizes[:count]) >= GROUPS)
    return next(parted, len(sizes) - 1)


def _waves(turns: Numbers) -> Numbers:
    wave = np.exp(-2j * np.pi * turns.ravel())
    return np.stack([wave.real, wave.imag], axis=1).ravel()


def circles(least: int) -> list[tuple[int, int]]:
    """The first few circles of at least so many steps that have stages.

    Example:
        >>> circles(124)
        [(128, 0), (144, 0), (150, 0)]
    """
    halves = (half for half in count(max(2, -(-least // 2))) if math.prod(factors(half)) == half)
    return [(2 * half, 0) for half in islice(halves, 3)]


def transform_cost(n: int, columns: int, num_steps: int) -> float:
    """Multiply-adds, inside a large product, that take as long as the transform of a signal."""
    return NUMBER * (1.5 * n + num_steps)


def factors(half: int) -> list[int]:
    """Sizes of stages, fours last; their product is less where a factor has no stage.

    Example:
        >>> factors(60), factors(7)
        ([5, 3, 4], [])
    """
    found = []
    for size in SIZES:
        while half % size == 0:
            found.append(size)
            half //= size
    return found[::-1]


STAGES = Dft(circles, transform_cost, make_transform)
