"""Loops that numba compiles, for a CPU; an optional extra, and every one has a form in torch beside it.

They are compiled when they are first needed, and kept on disk. Nothing here imports numba before that.
"""

import warnings
from functools import cache
from importlib import import_module
from types import ModuleType

from torch import Tensor

from lit_delays.snn.fast.circle import Dft
from lit_delays.snn.kernels import Gaussian, Kernel
from lit_delays.snn.surrogates import Surrogate


def stages() -> Dft | None:
    """Transforms in stages, :mod:`.transform`; None without numba, or with one that does not start."""
    if not _starts():
        return None
    from lit_delays.snn.fast.compiled.transform import STAGES

    return STAGES


def normed_lif_loops(current: Tensor, surrogate: Surrogate) -> ModuleType | None:
    """The loops of :mod:`.normed_lif`, where they can do this; else None."""
    if not _starts():
        return None
    from lit_delays.snn.fast.compiled import normed_lif

    return normed_lif if normed_lif.can(current, surrogate) else None


def truth_loops(x: Tensor) -> ModuleType | None:
    """The loops of :mod:`.spikes`, where they can read x; else None."""
    if not _starts():
        return None
    from lit_delays.snn.fast.compiled import spikes

    return spikes if spikes.can(x) else None


def gaussian_loops(weight: Tensor, kernel: Kernel) -> ModuleType | None:
    """The loops of :mod:`.gaussian`, where they can do this; else None."""
    if type(kernel) is not Gaussian or not _starts():
        return None
    from lit_delays.snn.fast.compiled import gaussian

    return gaussian if gaussian.can(weight) else None


def sparse_loops(x: Tensor, num_outputs: int) -> ModuleType | None:
    """The loops of :mod:`.few_synapses`, where they can do this; else None."""
    if not _starts():
        return None
    from lit_delays.snn.fast.compiled import few_synapses

    return few_synapses if few_synapses.can(x, num_outputs) else None


@cache
def _starts() -> bool:
    try:
        import_module("lit_delays.snn.fast.compiled.vectors")
    except ModuleNotFoundError:
        return False
    except Exception as error:  # it wants another NumPy, or has other inner parts
        warnings.warn(f"numba does not start, so loops run without it: {error}", stacklevel=3)
        return False
    return True
