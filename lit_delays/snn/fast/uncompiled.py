"""What `torch.compile` must leave as it is."""

import functools
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def uncompiled(function: Callable[..., Result]) -> Callable[..., Result]:
    """Let a function run as it is between compiled parts.

    Compiled, a loop over time would be unrolled: minutes of compilation, nothing gained. The compiler is
    imported when something is compiled, not before: it takes a second and 140 MB.

    Example:
        >>> uncompiled(abs)(-1)
        1
    """

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> Result:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)  # type: ignore
        return function(*args, **kwargs)

    return call
