"""The parser of the commands that train and test: what is wrong is said in one line."""

import difflib
import re
import sys
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from lit_delays.cli import main as cli
from lit_delays.cli.components import option_names, set_plain_defaults
from lit_delays.cli.config_imports import explain

UNKNOWN = re.compile(r"unrecognized arguments: --(\S+)|^Option '(\S+)' is|Group '(\S+)' .* option '(\S+)'$")
KEY = re.compile(r'Parser key "([^"]+)"')
KIND = re.compile(r"Expected an? (?!path but)(.+?)(?=\. $| - | $|$)")
PROBLEM = re.compile(r"Problem with given class_path '([^']+)': (?!Parser key)(.+?)(?= - |$)")
VALUE = re.compile(r"(?:Got|Given) value: (.+?)(?=\. Got value: | - |$)")
KINDS = {
    r"<class '(?:\w+\.)*(\w+)'>": r"\1",
    r"typing\.Literal\[(.*?)\]": r"one of \1",
    r"dot import path string: \S+": "a known class, or the path of one,",
    "^list or tuple|^list": "a list such as [1, 2]",
    "NoneType": "null",
    "'": "",
}


class OneLineParser(LightningArgumentParser):
    """Says what is wrong in one line, without the usage of two hundred options."""

    @override
    def add_lightning_class_args(self, *args: Any, **kwargs: Any) -> list[str]:
        added = super().add_lightning_class_args(*args, **kwargs)
        set_plain_defaults(self)
        return added

    @override
    def add_class_arguments(self, *args: Any, **kwargs: Any) -> list[str]:
        """No value is the path of another file that would be read, and shown where it does not fit."""
        added: list[str] = super().add_class_arguments(*args, **{**kwargs, "sub_configs": False})
        return added

    @override
    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if (
            "--config" in self._option_string_actions
        ):  # not one of the parsers inside, for the options of a class
            message = in_our_words(" ".join(explain(message).split()), option_names(self))
        if not self.exit_on_error:
            super().error(message, ex)
        sys.exit(cli.fail(message))


def in_our_words(message: str, options: list[str]) -> str:
    r"""What jsonargparse says about a wrong option or value, as the user typed it; others as they are.

    Example:
        >>> in_our_words("Parser key \"data.batch_size\": Expected a <class 'int'>. Got value: x", [])
        '`--data.batch_size` must be int, got x.'
        >>> in_our_words("unrecognized arguments: --data.batch=3", ["data.batch_size"])
        '`--data.batch` is no option; did you mean --data.batch_size?'
    """
    if found := UNKNOWN.search(message):
        name = ".".join(part for part in found.groups() if part).partition("=")[0].rstrip("+")
        last = name.rpartition(".")[2]
        moved = [option for option in options if option.rpartition(".")[2] == last]
        near = [*moved, *difflib.get_close_matches(name, options, 1, cutoff=0.75)]
        return f"`--{name}` is no option" + (f"; did you mean --{near[0]}?" if near else "; see --help.")
    head = re.split(r"(?:Got|Given) value", message)[0]
    keys, kinds, value = KEY.findall(head), KIND.findall(head), VALUE.search(message)
    if keys and (found := PROBLEM.search(head)):
        return f"`--{keys[0]}` has a wrong {found[1]}: {found[2]}."
    if not (keys and kinds and value):
        return message
    kind = " or ".join(dict.fromkeys(kinds))
    for pattern, words in KINDS.items():
        kind = re.sub(pattern, words, kind)
    return f"`--{'.'.join(keys)}` must be {kind}, got {value[1]}."
