"""``python -m lit_delays export``: a trained network in a form that other programs run."""

from importlib.util import find_spec
from pathlib import Path

from lit_delays.cli.arguments import Arguments
from lit_delays.deploy.loading import checkpoint_of, load
from lit_delays.errors import InputError
from lit_delays.report.results import Result
from lit_delays.snn.network import Network
from lit_delays.training.runs import RESULT, best_checkpoint

FORMATS = ("safetensors", "nir", "connections", "torch")
OPTIONAL = ("safetensors", "nir")  # formats whose package, of the same name, not everybody has


def export(args: list[str]) -> None:
    """Write a trained network as it ships: whole delays, batch norm folded into the weights.

    safetensors: a folder to publish, which lit_delays reads back. nir: a graph in the Neuromorphic
    Intermediate Representation, with a branch for every distinct delay. connections: a table of synapses
    (pre, post, weight, delay) for simulators such as Brian2, as .npz. torch: a program of torch.export.
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
        "--num-steps", type=int, default=100, metavar="T", help="torch: time steps of a clip; default: 100"
    )
    parser.add_allow_import()
    options = parser.parse_args(args)
    if options.format in OPTIONAL and find_spec(options.format) is None:
        raise InputError(f"--format {options.format} needs a package: pip install {options.format}.")
    network = load(options.model, options.precision)
    _write(network, options.format, options.output, options.num_steps, _facts(options.model))
    print(options.output)


def _write(network: Network, form: str, path: Path, num_steps: int, facts: tuple[str, ...]) -> None:
    match form:
        case "safetensors":
            from lit_delays.deploy.formats import safetensors_folder

            safetensors_folder.save(network, path, facts)
        case "nir":
            from lit_delays.deploy.formats import nir_graph

            nir_graph.save(network, path)
        case "connections":
            from lit_delays.deploy.formats import connections

            connections.save(network, path)
        case "torch":
            from lit_delays.deploy.formats import torch_program

            print(f"tracing {num_steps} time steps: this takes a minute ...", flush=True)
            torch_program.save(network, path, num_steps)


def _facts(model: Path) -> tuple[str, ...]:
    """What the model card says of the run that the checkpoint is the result of."""
    checkpoint = checkpoint_of(model).resolve()
    run_dir = checkpoint.parent.parent
    if checkpoint != best_checkpoint(run_dir) or not (run_dir / RESULT).exists():
        return ()
    return (f"Its run: {Result.load(run_dir)}.",)
