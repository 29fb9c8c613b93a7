"""The command line: ``python -m lit_delays fit --config configs/shd.yaml``.

Lightning, and jsonargparse with it, are imported when a command needs them, so that help and mistakes answer
at once: `lightning_cli.py`, `fit_options.py` and `trust.py` are the only files that know them.
"""

import os
import sys
from importlib import import_module
from typing import Any

from lit_delays.errors import InputError

TRAINING = {
    "fit": "train a network, then test the checkpoint with the best validation accuracy",
    "validate": "measure a checkpoint on the validation set",
    "test": "measure a checkpoint on the test set",
    "predict": "write the answer to every test sample into predictions.csv",
    "sweep": "make the runs of a sweep file, side by side; what is done is skipped, what was cut off goes on",
}
# what it does, and the function that takes its options, imported when it is asked for
OTHERS = {
    "data": (
        "fetch a public data set: data fetch shd, ssc or gsc",
        "lit_delays.commands.data:data",
    ),
    "inspect": (
        "say and draw what a network has learned, from its checkpoint",
        "lit_delays.commands.inspect:inspect",
    ),
    "export": (
        "write a trained network as safetensors, NIR, tables of connections or a torch program",
        "lit_delays.commands.export:export",
    ),
    "stream": (
        "run a trained network step by step on a recording or on events from another program",
        "lit_delays.commands.stream:stream",
    ),
    "encode": (
        "turn recordings (wav, flac) into spikes, with the artificial inner ear of SHD",
        "lit_delays.commands.encode:encode",
    ),
    "report": (
        "print a table of finished runs or sweeps, and draw it",
        "lit_delays.experiments.report:report",
    ),
    "doctor": (
        "check this machine: versions, devices, folders, data",
        "lit_delays.doctor.command:doctor",
    ),
}
COMMANDS = TRAINING | {name: text for name, (text, _) in OTHERS.items()}

HELP = """usage: python -m lit_delays COMMAND [options]

Spiking networks with learnable delays.

commands:
{commands}

Start with:    python -m lit_delays fit --config configs/quickstart.yaml
All options:   python -m lit_delays COMMAND --help
Resume:        repeat the command; the same options continue the same run.
Own classes:   --allow-import PACKAGE lets the configs of this command import yours."""


def main(args: list[str] | None = None) -> None:
    """Run one command; a mistake of the user is one line on stderr and exit code 2."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(HELP.format(commands="\n".join(f"  {name:9} {text}" for name, text in COMMANDS.items())))
        return
    try:
        run(args[0], args[1:])
    except (InputError, OSError) as error:
        if os.environ.get("LIT_DELAYS_DEBUG"):
            raise
        sys.exit(fail(str(error)))
    except KeyboardInterrupt:
        sys.exit(130)


def run(command: str, args: list[str]) -> None:
    """Hand the command over to the part of the house that does it."""
    if command not in COMMANDS:
        raise InputError(f"unknown command {command!r}; choose from {', '.join(COMMANDS)}.")
    if command in OTHERS:
        module, function = OTHERS[command][1].split(":")
        getattr(import_module(module), function)(args)
    elif command == "sweep":
        from lit_delays.experiments.sweep import sweep

        sweep(args, read_fit_options)
    else:
        from lit_delays.lightning_cli import DelayCLI
        from lit_delays.training.stopping import stoppable

        with stoppable():
            DelayCLI(command, args)


def read_fit_options(words: list[str]) -> dict[str, Any]:
    """All options that ``fit`` would run with, given these words."""
    from lit_delays.fit_options import read

    return read(words)


def fail(message: str) -> int:
    """Print the one line that says what is wrong; returns the exit code."""
    print(f"lit_delays: error: {' '.join(message.split())}", file=sys.stderr)
    return 2
