"""Parts that are chosen by class: their options from configs and words, in any order, with clear errors.

jsonargparse carries the options of the class before over into a newly chosen one, its defaults included, and
wants a class to be chosen before its options. So what a command line says about a part is collected here:
configs first, in their order, then words, which win. A word's option belongs to the class chosen last, one in
a config to the class at that point; it is kept where the class chosen last has it too. The parser then reads
the part with every option written out.
"""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from lit_delays.cli.config_imports import CONFIG, load_yaml
from lit_delays.components import (
    VARIABLE,
    Factory,
    find_class,
    is_ours,
    parameters_of,
    part_type,
    path_of,
    rebuild,
    subclasses,
)
from lit_delays.errors import InputError

LAYERS = "model.network.layers"  # a list of what is different; its parts have the names of the network's
MISSING = object()  # what a config does not say, which is not null
CLASS_PATH, INIT_ARGS = "class_path", "init_args"


@dataclass(frozen=True)
class Given:
    """What one config or word says about a part.

    Args:
        value: The name of a class, or a mapping with one, with options, or with both.
        is_word: Whether it is a word of the command line.
    """

    value: Any
    is_word: bool = False

    @property
    def class_name(self) -> Any:
        """The class that is chosen here, if any."""
        return self.value.get(CLASS_PATH) if isinstance(self.value, Mapping) else self.value

    @property
    def options(self) -> dict[str, Any]:
        """The options that are given here."""
        value = self.value if isinstance(self.value, Mapping) else {}
        named = value.get(INIT_ARGS)
        beside = {name: item for name, item in value.items() if name not in (CLASS_PATH, INIT_ARGS)}
        return {**beside, **(named if isinstance(named, Mapping) else {})}


def arrange(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words of a command line as its parser should read them: configs, then parts in full, then the rest.

    Args:
        parser: Of the command; options of type ``Callable[..., Neuron]`` are parts.
        words: After the command.

    Raises:
        InputError: If a class is unknown, or takes no option of that name.

    Example:
        >>> arrange(ArgumentParser(), ["--name=a", "--config", "shd.yaml"])
        ['--config=shd.yaml', '--name=a']
    """
    return _CommandLine(parser, words).arranged()


class _CommandLine:
    """What the words and the configs of a command line say, part by part."""

    def __init__(self, parser: ArgumentParser, words: Sequence[str]) -> None:
        self.parts = dict(_parts(parser))
        self.groups = _groups(parser)
        self.configs: list[str] = []
        self.rest: list[str] = []
        self.of_words: dict[str, list[Given]] = {}
        remaining = iter(words)
        for word in remaining:
            option, equals, value = word.partition("=")
            name = self._part_of(option.removeprefix("--"))
            if name is None and option not in CONFIG:
                self.rest.append(word)
                continue
            value = value if equals else next(remaining, "")
            if name is None:
                self.configs.append(value)
            else:
                below = option.removeprefix(f"--{name}").split(".")[1:]
                given = _nested(below, _read(option, value, only_mappings=name != LAYERS))
                self.of_words.setdefault(name, []).append(Given(given, is_word=True))

    def arranged(self) -> list[str]:
        configs = [f"--config={path}" for path in self.configs]
        parts = [word for name in self.parts for word in self._part(name)]
        return [*configs, *parts, *self._layers(), *self.rest]

    def given(self, name: str) -> list[Given]:
        """What configs and words say about a part, in order."""
        found = (_at(content, name) for content in self._contents)
        return [*(Given(value) for value in found if value is not MISSING), *self.of_words.get(name, [])]

    def _part(self, name: str) -> Iterator[str]:
        given = self.given(name)
        return _as_words(name, _full(name, *self.parts[name], given)) if given else iter(())

    @cached_property
    def _contents(self) -> list[Any]:
        """What the configs hold; one that cannot be read is the parser's to refuse."""
        contents = []
        for path in self.configs:
            content = None
            with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
                content = load_yaml(Path(path).read_text())
            if isinstance(content, Mapping) and "config" in content:  # whatever it names would be read
                raise InputError(f"{path}: a config cannot name another one; give --config more than once.")
            _check_groups(path, content, self.groups)
            contents.append(content)
        return contents

    def _part_of(self, option: str) -> str | None:
        """The part that an option belongs to."""
        names = [*self.parts, LAYERS]
        is_help = option.endswith(".help")
        return next((n for n in names if option == n or (option.startswith(f"{n}.") and not is_help)), None)

    def _layers(self) -> list[str]:
        given = self.given(LAYERS)
        if not given:
            return []
        layers = given[-1].value
        if not isinstance(layers, list) or any(type(layer) not in (dict, type(None)) for layer in layers):
            raise InputError(
                f"`--{LAYERS}` must be a list with null, or what is different, for each layer, such as"
                f" [null, {{neuron: PLIF}}], got {layers}."
            )
        full = [
            layer and {name: self._of_layer(name, item) for name, item in layer.items()} for layer in layers
        ]
        return [f"--{LAYERS}={json.dumps(full, default=str)}"]

    def _of_layer(self, name: str, value: Any) -> Any:
        """A part of one layer: options alone change the network's part, a class is a new one."""
        part = f"{LAYERS.rpartition('.')[0]}.{name}"
        if part not in self.parts:
            known = [part.rpartition(".")[2] for part in self.parts if part.startswith("model.network.")]
            raise InputError(
                f"`{name}` cannot differ from layer to layer in `--{LAYERS}`; choose from {', '.join(known)}."
            )
        annotation, default = self.parts[part]
        own = Given(value)
        if own.class_name is None:
            return value and _full(f"{LAYERS}.{name}", annotation, default, [*self.given(part), own])
        return _full(f"{LAYERS}.{name}", annotation, None, [own])


def _at(content: Any, name: str) -> Any:
    for key in name.split("."):
        content = content.get(key, MISSING) if isinstance(content, Mapping) else MISSING
    return content


def _groups(parser: ArgumentParser) -> set[str]:
    """Names that hold options, such as ``model.network``."""
    names = (action.dest for action in parser._actions if not action.dest.endswith(".help"))
    return {name[:index] for name in names for index, letter in enumerate(name) if letter == "."}


def _check_groups(path: str, content: Any, groups: set[str]) -> None:
    """The parser takes any value in place of a group, and drops its options."""
    for group in sorted(groups):
        if not isinstance(value := _at(content, group), Mapping) and value is not MISSING:
            raise InputError(f"{path}: `{group}` must hold options, `NAME: VALUE` each, got {value!r:.80}.")


def set_plain_defaults(parser: ArgumentParser) -> None:
    """Describe the parts in the defaults as the parser does; it has taken factories apart, as dataclasses."""
    for action in parser._actions:
        if isinstance(action.default, Mapping) and action.default.keys() == {"cls", "arguments"}:
            action.default = Factory(**action.default).plain


def option_names(parser: ArgumentParser) -> list[str]:
    """Names of all options, those of the parts by default among them."""
    parts = {name: default for name, (_, default) in _parts(parser) if default is not None}
    below = [f"{name}.{option}" for name, default in parts.items() for option in parameters_of(default)]
    return [*(action.dest for action in parser._actions), *below]


def _parts(parser: ArgumentParser) -> Iterator[tuple[str, tuple[Any, type | None]]]:
    """Options that choose a part, with their types, and the class by default, if there is one."""
    for action in parser._actions:
        annotation = getattr(action, "_typehint", None)
        base = part_type(annotation)
        if base is not None and not action.dest.endswith(".help") and not action.dest.startswith("trainer."):
            default = parser.get_default(action.dest)
            yield action.dest, (annotation, default and find_class(base, default[CLASS_PATH]))


def _full(option: str, annotation: Any, default: type | None, given: Sequence[Given]) -> Any:
    """A part as plain values, with all of its options; None for none, where that is allowed."""
    described = _describe(option, annotation, default, given)
    return described and rebuild(part_type(annotation) or object, described).plain


def _describe(option: str, annotation: Any, default: type | None, given: Sequence[Given]) -> Any:
    """A part as plain values, with the options that are given; of any other option, the last value.

    Args:
        option: Its name, without dashes.
        annotation: Its type.
        default: The class where none is given; None if there is none.
        given: What configs and words say, in order.
    """
    base, last = part_type(annotation), given[-1].value
    if base is None or (last in (None, "null") and type(None) in getattr(annotation, "__args__", ())):
        return last
    classes = [_class_of(option, base, one) for one in given]
    chosen = next((cls for cls in [*reversed(classes), default] if cls is not None), None)
    if chosen is None:
        raise InputError(f"`--{option}` needs a class: {_choices(base)}.")
    known, current = parameters_of(chosen), default
    options: dict[str, list[Given]] = {}
    for one, cls in zip(given, classes, strict=True):
        current = cls or current
        _check_options(option, chosen if one.is_word or current is None else current, one)
        for name in one.options.keys() & known.keys():
            options.setdefault(name, []).append(Given(one.options[name], one.is_word))
    described = {}
    for name, parameter in known.items():
        is_needed, kind = parameter.default is parameter.empty, parameter.annotation
        if name in options:
            before = None if is_needed or part_type(kind) is None else _class_by_default(parameter.default)
            described[name] = _describe(f"{option}.{name}", kind, before, options[name])
        elif is_needed:
            raise InputError(f"`--{option}.{name}` must be given: {chosen.__name__} needs it.")
    return {CLASS_PATH: path_of(chosen), INIT_ARGS: described}


def _class_by_default(choice: Any) -> type | None:
    return None if choice is None else Factory.of(choice).cls


def _check_options(option: str, cls: type, given: Given) -> None:
    known = parameters_of(cls)
    if unknown := given.options.keys() - known.keys():
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise InputError(f"`--{option}.{min(map(str, unknown))}` is no option of {cls.__name__}; {takes}.")
    if (
        isinstance(given.value, Mapping)
        and CLASS_PATH in given.value
        and given.value.keys() - {CLASS_PATH, INIT_ARGS}
    ):
        raise InputError(
            f"`--{option}` must have its options in init_args beside class_path, got {given.value}."
        )


def _class_of(option: str, base: type, given: Given) -> type | None:
    name = given.class_name
    if isinstance(given.value, Mapping) and name is None:
        return None
    is_path = isinstance(name, str) and "." in name
    if not is_path and name not in _choices(base).split(", "):
        raise InputError(
            f"`--{option}` must be one of {_choices(base)}, or the full path of another class, which"
            f" --allow-import PACKAGE or ${VARIABLE} lets in, got {name!r}."
        )
    try:
        return find_class(base, name)
    except InputError as error:
        raise InputError(f"`--{option}`: {error}") from error


def _choices(base: type) -> str:
    """The classes of ours, by their short names."""
    classes: Iterator[type] = subclasses(base)
    ours = [cls for cls in classes if is_ours(cls) and not inspect.isabstract(cls)]
    return ", ".join(sorted(cls.__name__ for cls in ours))


def _as_words(option: str, described: Mapping[str, Any] | None) -> Iterator[str]:
    if described is None:
        yield f"--{option}=null"
        return
    yield f"--{option}={described[CLASS_PATH]}"
    for name, value in described[INIT_ARGS].items():
        if isinstance(value, Mapping) and CLASS_PATH in value:
            yield from _as_words(f"{option}.{name}", value)
        else:
            yield f"--{option}.{name}={value if isinstance(value, str) else json.dumps(value, default=str)}"


def _nested(names: Sequence[str], value: Any) -> Any:
    """The value, below these names.

    Example:
        >>> _nested(["surrogate", "slope"], 2)
        {'surrogate': {'slope': 2}}
    """
    return {names[0]: _nested(names[1:], value)} if names else value


def _read(option: str, word: str, only_mappings: bool) -> Any:
    """The value of a word: as the parser will read it, but for mappings, whose parts are described here."""
    if only_mappings and not word.lstrip().startswith("{"):
        return word
    try:
        return load_yaml(word)
    except yaml.YAMLError as error:
        raise InputError(f"`{option}` cannot be read as YAML: {error}; got {word}.") from error
