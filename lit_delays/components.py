"""Parts that are chosen by class: neurons, synapses, kernels, surrogates, data sets.

A part is named by its class and its arguments, and made when what it needs is known: neurons, once the number
of neurons is. :class:`Factory` holds both. As plain values it is ``{"class_path": ..., "init_args": ...}``,
which configs, checkpoints and exports keep, so that none of them holds code.
"""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar, get_origin

from lit_delays.errors import InputError

Part = TypeVar("Part")

VARIABLE = "LIT_DELAYS_ALLOW_IMPORT"  # packages of other people that may be imported, with commas between
OWN = "lit_delays"
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_allowed: set[str] = set()


@dataclass(frozen=True)
class Factory(Generic[Part]):
    """A class, and the keyword arguments to make it with; the positional ones come with the call.

    Attributes:
        cls: The class.
        arguments: Its keyword arguments, all of them: a default that changes in a later version must not
            change a network that was trained before.

    Example:
        >>> half = Factory.of(functools.partial(complex, imag=0.5))
        >>> half(1.0)
        (1+0.5j)
    """

    cls: type[Part]
    arguments: Mapping[str, Any]

    def __call__(self, *args: Any) -> Part:
        """Make one."""
        return self.cls(*args, **self.arguments)

    @classmethod
    def of(cls, choice: Callable[..., Part]) -> "Factory[Part]":
        """From a class, or a ``functools.partial`` of one: what Python and the command line hand over.

        Raises:
            InputError: If it is neither, or has options without a name.
        """
        if isinstance(choice, Factory):
            return choice
        given: dict[str, Any] = {}
        made: Any = choice
        if isinstance(choice, functools.partial):  # of a partial, too: Python makes one of both
            if isinstance(choice.func, type) and choice.args:
                raise InputError(f"options of {choice.func.__name__} need their names, got {choice.args}.")
            given = choice.keywords
            # the command line's own wraps the class in a function that makes it
            made = next((item for item in choice.args if isinstance(item, type)), choice.func)
        if not isinstance(made, type):
            raise InputError(f"a part must be a class or functools.partial of one, got {choice!r}.")
        return cls(made, {name: _nested(value) for name, value in (_defaults(made) | given).items()})

    @property
    def plain(self) -> dict[str, Any]:
        """As plain values, which :func:`rebuild` takes."""
        return {"class_path": path_of(self.cls), "init_args": plain(dict(self.arguments))}


def plain(value: Any) -> Any:
    """Factories, dataclasses and collections of them as plain values, which JSON can hold.

    Example:
        >>> plain((1, {"a": None}))
        [1, {'a': None}]
    """
    if isinstance(value, Factory):
        return value.plain
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def rebuild(base: type[Part], value: Any) -> Factory[Part]:
    """The factory that :func:`plain` described.

    Args:
        base: What the class must derive from.
        value: ``{"class_path": ..., "init_args": ...}``; the path may be the short name of one of ours.

    Raises:
        InputError: If it is no such description, or its class is unknown or must not be imported.
    """
    if not (isinstance(value, Mapping) and isinstance(value.get("class_path"), str)):
        raise InputError(f"a {base.__name__} needs class_path and init_args, got {value!r:.80}.")
    found = find_class(base, value["class_path"])
    given = value.get("init_args") or {}
    known = parameters_of(found)
    if not isinstance(given, Mapping) or (unknown := set(map(str, given)) - known.keys()):
        wrong = min(unknown) if isinstance(given, Mapping) else str(given)[:80]
        raise InputError(f"{found.__name__} takes no argument `{wrong}`; it takes {', '.join(known)}.")
    made = {name: _made(known[name].annotation, item) for name, item in given.items()}
    return Factory(found, {**_defaults(found), **made})


def _made(annotation: Any, value: Any) -> Any:
    """What plain values stand for: a part, or a tuple, which JSON has as a list."""
    kind = part_type(annotation)
    if kind is not None and isinstance(value, Mapping):
        return rebuild(kind, value)
    return tuple(value) if get_origin(annotation) is tuple and isinstance(value, list) else value


def find_class(base: type[Part], class_path: str) -> type[Part]:
    """The class of this name: one of ours, one that is defined already, or one that may be imported.

    Raises:
        InputError: If there is none, or it must not be imported.
    """
    known = [
        cls
        for cls in subclasses(base)
        if class_path == path_of(cls) or (class_path == cls.__name__ and is_ours(cls))
    ]
    if known:  # more than one, if a notebook defined it again
        current = [
            cls for cls in known if getattr(sys.modules.get(cls.__module__), cls.__name__, None) is cls
        ]
        return (current or known)[-1]
    module, _, name = class_path.rpartition(".")
    if not is_allowed(module):
        raise InputError(
            f"`{class_path}` is no {base.__name__} of lit_delays and may not be imported; give --allow-import"
            f" PACKAGE, or ${VARIABLE}, for a package that you trust."
        )
    try:
        found = functools.reduce(getattr, [name], importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise InputError(f"cannot import `{class_path}`: {error}; check the name and PYTHONPATH.") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InputError(f"`{class_path}` must be a subclass of {base.__name__}.")
    return found


def allow(*packages: str) -> None:
    """Let plain values name classes of these packages, besides our own and those that are defined already."""
    _allowed.update(packages)


def is_allowed(module: str) -> bool:
    """Whether a module may be imported because a plain value names it."""
    named = {name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}
    return any(module == name or module.startswith(f"{name}.") for name in {OWN, *named, *_allowed})


def is_ours(cls: type) -> bool:
    """Whether a class is of this package, so that its short name will do."""
    return cls.__module__.partition(".")[0] == OWN


def subclasses(base: type[Part]) -> Iterator[type[Part]]:
    """All classes that derive from this one, as far as they are defined by now."""
    for cls in base.__subclasses__():
        yield cls
        yield from subclasses(cls)


def path_of(cls: type) -> str:
    """Where a class is defined, with dots."""
    return f"{cls.__module__}.{cls.__qualname__}"


def part_type(annotation: Any) -> type | None:
    """The class that an argument ``Callable[..., Kernel]`` makes; None for any other argument.

    Example:
        >>> part_type(Callable[[int], complex] | None), part_type(float)
        (<class 'complex'>, None)
    """
    for choice in (annotation, *getattr(annotation, "__args__", ())):
        made = (getattr(choice, "__args__", None) or (None,))[-1]
        if getattr(choice, "__origin__", None) is Callable and isinstance(made, type):
            return made
    return None


def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """Arguments of a class that are options, by name: all but those that come with the call, in ``made_for``.

    Where a class hands others on, by ``**kwargs``, those of its parent are options too.

    Example:
        >>> list(parameters_of(Factory))
        ['cls', 'arguments']
    """
    found: dict[str, inspect.Parameter] = {}
    for owner in cls.__mro__:
        if "__init__" in vars(owner):
            _, *parameters = _signature(owner).parameters.values()
            kinds = [parameter.kind for parameter in parameters]
            given = sum(kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD for kind in kinds)
            first = min(given, len(getattr(cls, "made_for", ())))
            named = [item for item in parameters[first:] if item.kind in NAMED]
            found |= {item.name: item for item in named if item.name not in found}
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
    return found


def _signature(cls: type) -> inspect.Signature:
    made: Any = vars(cls)["__init__"]
    try:
        return inspect.signature(made, eval_str=True)
    except NameError:  # a type that is imported for type checkers alone
        return inspect.signature(made)


def _defaults(cls: type) -> dict[str, Any]:
    given = {name: parameter.default for name, parameter in parameters_of(cls).items()}
    return {name: _nested(value) for name, value in given.items() if value is not inspect.Parameter.empty}


def _nested(value: Any) -> Any:
    """A part of a part is one too."""
    is_choice = isinstance(value, type | functools.partial)
    return Factory.of(value) if is_choice else value
