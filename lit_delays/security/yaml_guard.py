"""YAML of strangers: a short text must not mean an endless one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lit_delays.errors import InputError

LARGEST = 2**18  # bytes; the config of a run has about 5000
DEEPEST = 50  # lists and mappings inside each other


def read_yaml(text: str, load: Callable[[str], Any] = yaml.safe_load) -> Any:
    """YAML of a sane size and depth, whose aliases stand for single values.

    Args:
        text: What to read.
        load: How.

    Raises:
        yaml.YAMLError: If it is nothing of the kind.
    """
    if len(text) > LARGEST:
        raise yaml.YAMLError(f"must be at most {LARGEST // 2**10} kB")
    if len(text) > DEEPEST or "*" in text:
        _check_events(text)
    try:
        return load(text)
    except yaml.YAMLError:
        raise
    except (ValueError, OverflowError) as error:  # a number of 5000 digits, a month 13
        raise yaml.YAMLError(f"has a value that cannot be read: {error}") from error


def read_yaml_file(path: Path) -> Any:
    """The content of a YAML file of at most 256 kB.

    Raises:
        InputError: If it is no such file.
    """
    try:
        return read_yaml(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {error}") from error


def read_text(path: Path) -> str:
    """The text of a file of at most 256 kB.

    Raises:
        InputError: If it is larger, no file, or not UTF-8.
    """
    if path.exists() and not (path.is_file() and path.stat().st_size <= LARGEST):
        raise InputError(f"{path} must be a file of at most {LARGEST // 2**10} kB.")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} must be text in UTF-8, got the byte {error.object[error.start]:#04x} at {error.start};"
            " save it as UTF-8."
        ) from error


def _check_events(text: str) -> None:
    plain, depth = set(), 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent):
            plain.add(event.anchor)
        elif isinstance(event, yaml.AliasEvent) and event.anchor not in plain:
            raise yaml.YAMLError(f"`*{event.anchor}` must stand for a single value; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"must be at most {DEEPEST} lists and mappings deep")
