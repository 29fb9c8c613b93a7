"""The options of ``fit`` as the command reads them, with nothing run."""

from functools import cache
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentError
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from lit_delays.cli.components import arrange
from lit_delays.cli.config_imports import keep_inside, limit_imports
from lit_delays.cli.fit import DelayCLI
from lit_delays.cli.option_checks import check_numbers
from lit_delays.errors import InputError
from lit_delays.training.runs import run_folder


def read(words: list[str]) -> dict[str, Any]:
    """All options as plain values, given these words of a command line.

    Raises:
        InputError: If ``fit`` would refuse them.
    """
    parser = fit_parser()
    words = limit_imports(words)
    try:
        options = parser.parse_args(arrange(parser, words))
    except ArgumentError as error:
        raise InputError(str(error)) from error
    plain = yaml.safe_load(parser.dump(options, skip_unset=False))
    assert isinstance(plain, dict)
    check_numbers(plain)
    keep_inside(options.trainer, run_folder(plain))
    return plain


@cache
def fit_parser() -> LightningArgumentParser:
    """The parser of ``fit``, which Lightning builds on its way; raises where ``fit`` exits."""
    try:
        _StopAtParser("fit", [])
    except _Ready as ready:
        ready.parser.exit_on_error = False
        return ready.parser
    raise AssertionError


class _Ready(Exception):
    def __init__(self, parser: LightningArgumentParser) -> None:
        self.parser = parser


class _StopAtParser(DelayCLI):
    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> NoReturn:
        raise _Ready(self._parser("fit"))
