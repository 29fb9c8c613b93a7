"""The command line: ``python -m lit_delays fit --config configs/shd.yaml``.

What a command needs is imported when it is asked for, so that help and mistakes answer at once.
"""

import os
import sys
from importlib import import_module

from lit_delays.errors import InputError
from lit_delays.plain_text import printable
from lit_delays.stopping import stoppable

TRAINING = {
    "fit": "train a network, then test the checkpoint with the best validation accuracy",
    "validate": "measure a checkpoint on the validation set",
    "test": "measure a checkpoint on the test set",
    "predict": "write the answer to every test sample into predictions.csv",
}
# what it does, and the function that takes its options, imported when it is asked for
OTHERS = {
    "sweep": (
        "make the runs of a sweep file, side by side; what is done is skipped, what was cut off goes on",
        "lit_delays.cli.sweep:sweep",
    ),
    "data": (
        "fetch a public data set: data fetch shd, ssc or gsc",
        "lit_delays.cli.data:data",
    ),
    "inspect": (
        "say and draw what a network has learned, from its checkpoint",
        "lit_delays.cli.inspect:inspect",
    ),
    "export": (
        "write a trained network as safetensors, NIR, tables of connections or a torch program",
        "lit_delays.cli.export:export",
    ),
    "stream": (
        "run a trained network step by step on a recording or on events from another program",
        "lit_delays.cli.stream:stream",
    ),
    "encode": (
        "turn recordings (wav, flac) into spikes, with the artificial inner ear of SHD",
        "lit_delays.cli.encode:encode",
    ),
    "report": (
        "print a table of finished runs or sweeps, and draw it",
        "lit_delays.cli.report:report",
    ),
    "doctor": (
        "check this machine: versions, devices, folders, data",
        "lit_delays.cli.doctor.command:doctor",
    ),
}
COMMANDS = TRAINING | {name: text for name, (text, _) in OTHERS.items()}

HELP = """usage: python -m lit_delays COMMAND [options]

Spiking networks with learnable delays.

commands:
{commands}

Start with:    python -m lit_delays fit --config configs/quickstart.yaml
All options:   python -m lit_delays COMMAND --help; words beat config files, in whatever order
Of a class:    python -m lit_delays fit --model.network.neuron.help PLIF
Resume:        repeat the command; the same options continue the same run.
Own classes:   --allow-import PACKAGE lets the options and configs of this command name yours."""


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
    """Hand the command over to the module that does it."""
    if command not in COMMANDS:
        raise InputError(f"unknown command {command!r}; choose from {', '.join(COMMANDS)}.")
    if command in OTHERS:
        module, function = OTHERS[command][1].split(":")
        getattr(import_module(module), function)(args)
    else:
        with stoppable():
            from lit_delays.cli.fit import DelayCLI

            DelayCLI(command, args)


def fail(message: str) -> int:
    """Print the one line that says what is wrong; returns the exit code."""
    print(f"lit_delays: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2
