"""Options of the commands beside ``fit``: argparse, which is there before any library is imported."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from typing_extensions import override

from lit_delays.components import allow
from lit_delays.errors import InputError


class Arguments(argparse.ArgumentParser):
    """Says what is wrong in one line, as all of lit_delays does."""

    def add_allow_import(self) -> None:
        """Take ``--allow-import PACKAGE``, for commands that read networks."""
        self.add_argument(
            "--allow-import", action=_Allow, metavar="PACKAGE", help="yours, with parts of the network"
        )

    @override
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; `{self.prog} --help` lists the options.")


class _Allow(argparse.Action):
    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        allow(str(values))
