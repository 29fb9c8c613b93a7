"""Options of the commands that are not Lightning's."""

import argparse
from typing import NoReturn

from typing_extensions import override

from lit_delays.errors import InputError


class Arguments(argparse.ArgumentParser):
    """Says what is wrong in one line, as all of lit_delays does."""

    @override
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; `{self.prog} --help` lists the options.")
