"""Loops that numba compiles, for a CPU; an optional extra, and every one has a form in torch beside it.

They are compiled when they are first needed, and kept on disk. Nothing here imports numba before that.
"""

import warnings
from functools import cache

from lit_delays.snn.fast.circle import Dft


@cache
def stages() -> Dft | None:
    """Transforms in stages, :mod:`.transform`; None without numba, or with one that does not start."""
    try:
        from lit_delays.snn.fast.compiled.transform import STAGES
    except ModuleNotFoundError:
        return None
    except ImportError as error:  # it wants another NumPy, say
        warnings.warn(f"numba does not start, so sums run without it: {error}", stacklevel=2)
        return None
    return STAGES
