"""Loops that numba compiles, for a CPU; an optional extra, and every one has a form in torch beside it.

They are compiled when they are first needed, and kept on disk. Nothing here imports numba before that.
"""

from functools import cache
from importlib.util import find_spec

from lit_delays.snn.fast.circle import Dft


@cache
def are_installed() -> bool:
    """Whether numba is there."""
    return find_spec("numba") is not None


@cache
def stages() -> Dft:
    """Transforms in stages: :mod:`.transform`."""
    from lit_delays.snn.fast.compiled.transform import STAGES

    return STAGES
