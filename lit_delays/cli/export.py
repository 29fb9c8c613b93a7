"""``python -m lit_delays export``: a trained network in a form that other programs run."""

from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from lit_delays.cli.arguments import Arguments
from lit_delays.deploy.formats.description import Readout
from lit_delays.deploy.loading import checkpoint_of, load
from lit_delays.errors import InputError
from lit_delays.plain_text import markdown
from lit_delays.report.results import Result
from lit_delays.snn.network import Network
from lit_delays.training.runs import RESULT, best_checkpoint

FORMATS = ("safetensors", "nir", "connections", "torch")
OPTIONAL = ("safetensors", "nir")  # formats whose package, of the same name, not everybody has


def export(args: list[str]) -> None:
    """Write a trained network as it ships: whole delays, batch norm folded into the weights.

    safetensors: a folder to publish, which lit_delays reads back. nir: a graph in the Neuromorphic
    Intermediate Representation, with a branch for every distinct delay. connections: a table of synapses
    (pre, post, weight, delay) for simulators such as Brian2, as .npz. torch: a program of torch.export, one
    time step with its state in and out.
    """
    parser = Arguments(prog="lit_delays export", description=export.__doc__)
    parser.add_argument("model", type=Path, help="run, checkpoint, or folder that export wrote")
    parser.add_argument("--format", choices=FORMATS, default="safetensors", help="default: safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True, help="new file; safetensors: new folder")
    parser.add_argument(
        "--precision",
        choices=["float32", "float64"],
        default="float32",
        help="of weights and biases; default: float32",
    )
    parser.add_argument(
        "--readout",
        choices=get_args(Readout),
        help="nir: the node of the last layer. lif: for importers that know no LI, with a threshold out of"
        " reach; none: its current is the output; default: li",
    )
    parser.add_argument("--license", metavar="NAME", help="safetensors: of the weights; default: unknown")
    parser.add_allow_import()
    options = parser.parse_args(args)
    if options.format in OPTIONAL and find_spec(options.format) is None:
        raise InputError(f"--format {options.format} needs a package: pip install {options.format}.")
    if options.readout and options.format != "nir":
        raise InputError(f"`--readout` belongs to --format nir, got --format {options.format}; leave it out.")
    if options.license and options.format != "safetensors":
        raise InputError(f"`--license` belongs to --format safetensors, got {options.format}; leave it out.")
    network = load(options.model, options.precision)
    _write(network, options)
    print(options.output)


def _write(network: Network, options: Namespace) -> None:
    path = options.output
    match options.format:
        case "safetensors":
            from lit_delays.deploy.formats import safetensors_folder as folder

            folder.save(network, path, _facts(options.model), options.license or folder.UNKNOWN_LICENSE)
        case "nir":
            from lit_delays.deploy.formats import nir_graph

            nir_graph.save(network, path, options.readout or "li")
        case "connections":
            from lit_delays.deploy.formats import connections

            connections.save(network, path)
        case "torch":
            from lit_delays.deploy.formats import torch_program

            torch_program.save(network, path)


def _facts(model: Path) -> tuple[str, ...]:
    """What the model card says of the run that the checkpoint is the result of."""
    checkpoint = checkpoint_of(model).resolve()
    run_dir = checkpoint.parent.parent
    if checkpoint != best_checkpoint(run_dir) or not (run_dir / RESULT).exists():
        return ()
    return (f"Its run: {markdown(str(Result.load(run_dir)))}.",)
