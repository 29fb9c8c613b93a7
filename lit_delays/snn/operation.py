"""A plain function, which reads like its equation, and faster forms that stand in for it where they can.

The plain form is the reference: it runs on every device, in every precision and under every transformation
of torch. A faster form is registered beside it and asked, at every call, whether it can do this one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

P = ParamSpec("P")
Result = TypeVar("Result")

PLAIN = "plain"

_chosen: ContextVar[Mapping[str, str]] = ContextVar("chosen", default=MappingProxyType({}))


class Form(NamedTuple, Generic[P, Result]):
    """A faster form of an operation.

    Attributes:
        name: What :func:`use` knows it by.
        can: Whether it gives the plain form's numbers, and faster, for these arguments.
        run: The form itself.
    """

    name: str
    can: Callable[..., bool]
    run: Callable[..., Any]


class Operation(Generic[P, Result]):
    """A function with faster forms.

    Args:
        plain: The reference.
        name: What :func:`use` knows the operation by; the name of ``plain`` where it is left out.

    Example:
        >>> double = Operation(lambda x: x + x)
        >>> double.register("doctest", can=lambda x: x > 1)(lambda x: 2 * x)
        >>> double(1), double(3)
        (2, 6)
    """

    def __init__(self, plain: Callable[P, Result], name: str | None = None) -> None:
        self.plain, self.name = plain, name or plain.__name__
        self._forms: list[Form[P, Result]] = []
        update_wrapper(self, plain)

    def register(self, name: str, can: Callable[..., bool]) -> Callable[[Callable[P, Result]], None]:
        """Add a faster form; those registered first are asked first."""

        def add(run: Callable[P, Result]) -> None:
            self._forms.append(Form(name, can, run))

        return add

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run the first form that can, else the plain one."""
        wanted = _chosen.get().get(self.name)
        if wanted == PLAIN or is_transformed(*args, *kwargs.values()):
            return self.plain(*args, **kwargs)
        for form in self._forms:
            if wanted == form.name or (wanted is None and form.can(*args, **kwargs)):
                result: Result = form.run(*args, **kwargs)
                return result
        return self.plain(*args, **kwargs)


def is_transformed(*args: object) -> bool:
    """Whether torch looks into the functions that are called, or tensors are not plain numbers in memory.

    So it is where they are exported or traced, under ``torch.func``, modes that see every operation (of fake
    tensors, say) and derivatives forward.
    """
    tensors = (arg for arg in args if isinstance(arg, Tensor))
    return (
        torch.compiler.is_exporting()
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
        or any(type(it) not in (Tensor, nn.Parameter) or it.is_neg() for it in tensors)
    )


@contextmanager
def use(**forms: str) -> Iterator[None]:
    """Choose forms by name inside a ``with``, for tests and measurements.

    Args:
        forms: The name of a form, or ``plain``, for each operation to choose for.

    Example:
        >>> from lit_delays.snn.delayed_sum import delayed_sum
        >>> with use(delayed_sum="spectral"):
        ...     delayed_sum(torch.ones(2, 1, 1), torch.ones(1, 1, 1), 2).flatten().round(decimals=5)
        tensor([1., 1.])
    """
    token = _chosen.set({**_chosen.get(), **forms})
    try:
        yield
    finally:
        _chosen.reset(token)
