"""What takes long to make is made once and kept: by the first process that asks for it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lit_delays.atomic_files import remove_leftovers, temporary_folder_beside
from lit_delays.data.storage import array_file as cache
from lit_delays.data.storage.array_file import Arrays
from lit_delays.data.storage.lock import locked
from lit_delays.errors import InputError

Check = Callable[[Arrays], bool]


def default_cache_dir() -> Path:
    """``$LIT_DELAYS_CACHE``, else ``lit_delays`` in ``$XDG_CACHE_HOME``, which is ``~/.cache`` by default."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("LIT_DELAYS_CACHE") or caches / "lit_delays").expanduser()


def packed_once(
    packed: Path,
    about: dict[str, Any],
    work: str,
    make: Callable[[Path], Mapping[str, NDArray[Any]]],
    fits: Check = bool,
) -> Arrays:
    """Arrays mapped from a cache, which is made where there is no good one.

    Processes that want the same arrays at once make them once: the others wait.

    Args:
        packed: File of the cache.
        about: What the arrays must be about to be of use: anything JSON can hold.
        work: What making them is, for whoever has to wait: ``packing digits.h5``.
        make: Makes them; is given an empty folder for files that it maps them from.
        fits: Whether arrays that are each sound fit together.

    Raises:
        InputError: If there is no room, or what was written does not come back.
    """
    arrays = load(packed, about, fits) or _pack(packed, about, work, make, fits)
    if arrays is None:
        raise InputError(f"{packed} cannot be read back; check the disk, or give another $LIT_DELAYS_CACHE.")
    return arrays


def load(packed: Path, about: dict[str, Any], fits: Check = bool) -> Arrays | None:
    """The arrays of a cache, if they are sound and fit together."""
    arrays = cache.load(packed, about)
    return arrays if arrays is not None and fits(arrays) else None


def _pack(
    packed: Path,
    about: dict[str, Any],
    work: str,
    make: Callable[[Path], Mapping[str, NDArray[Any]]],
    fits: Check,
) -> Arrays | None:
    try:
        with locked(packed.with_suffix(".lock"), work) as alone:
            if (arrays := load(packed, about, fits)) is not None:
                return arrays  # whoever we waited for has made it
            if alone:
                remove_leftovers(packed.parent, packed.name)
            with temporary_folder_beside(packed) as folder:
                cache.save(packed, make(Path(folder)), about)
    except OSError as error:
        raise InputError(
            f"cannot write the cache into {packed.parent}: {error.strerror or error};"
            " make room, or give another $LIT_DELAYS_CACHE."
        ) from error
    return load(packed, about, fits)
