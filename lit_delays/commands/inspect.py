"""See what a network has learned: a table, the signs of trouble, and all figures, from its checkpoint."""

import math
from pathlib import Path
from typing import Any

import yaml

from lit_delays.commands.models import checkpoint_of
from lit_delays.data.module import SpikeData
from lit_delays.errors import InputError
from lit_delays.experiments.anatomy import anatomy, chips
from lit_delays.experiments.arguments import Arguments
from lit_delays.experiments.evidence import Evidence, observe
from lit_delays.experiments.gallery import batches_of, draw_all
from lit_delays.experiments.results import describe
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.training.callbacks import named_delay_layers
from lit_delays.training.doctor import FILE_NAME as WARNINGS
from lit_delays.training.doctor import Rows, diagnose, read_run
from lit_delays.training.histograms import delay_histogram
from lit_delays.training.loading import Trained, load_network


def inspect(args: list[str]) -> None:
    """Say what a network has learned.

    Prints its size, delays, firing rates and synaptic operations, layer by layer, which chips could hold its
    delays, and what looks wrong; draws all figures. Samples are the validation set of its run, or --data.
    """
    parser = Arguments(prog="lit_delays inspect", description=inspect.__doc__)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint, or the folder of a run: its best one")
    parser.add_argument("--data", type=Path, metavar="FILE.h5", help="samples in SHD's layout to run it on")
    parser.add_argument("--folder", type=Path, help="where figures go; default: `inspect` in that of the run")
    options = parser.parse_args(args)
    path = checkpoint_of(options.checkpoint)
    trained, run_dir = load_network(path), path.parent.parent
    config = run_dir / "config.yaml"
    run = yaml.safe_load(config.read_text()) if config.exists() else None
    evidence, names, source = _evidence(trained.network, options.data, run)
    print(f"checkpoint: {path}, trained for {trained.epoch} epochs")
    print(f"network: {describe(trained.network)}", f"data: {source}", "", sep="\n")
    print(*anatomy(trained.network, evidence), "", *chips(trained.network), "", sep="\n")
    rows, histograms = read_run(run_dir) if run else ({}, {})
    num_epochs = run["trainer"]["max_epochs"] if run else 1
    told = run_dir / WARNINGS
    findings = (
        [f"while it trained, {line}" for line in told.read_text().splitlines()] if told.exists() else []
    )
    findings += _diagnose(trained, rows, evidence, num_epochs)
    print(*(findings or ["no sign of trouble"]), sep="\n")
    folder = options.folder or (run_dir if run else path.parent) / "inspect"
    figures = draw_all(trained.network, rows, histograms, evidence, names, folder)
    print(*[f"figure: {figure}" for figure in figures], sep="\n")


def _evidence(
    network: DelaySNN, file: Path | None, run: dict[str, Any] | None
) -> tuple[Evidence | None, tuple[str, ...], str]:
    """What the network does, the names of the classes, and where the samples are from."""
    options = run["data"] if run else _binning(network.config)
    options = {name: value for name, value in options.items() if name != "augment"}  # for training alone
    if file is not None:
        own = dict.fromkeys(("train_file", "val_file", "test_file"), str(file))
        options = {**options, "dataset": "files", **own}
    elif run is None:
        return (
            None,
            (),
            "none, as there is no config.yaml of a run; give --data FILE.h5 for what needs spikes",
        )
    try:
        data = SpikeData(**options)
        data.prepare_data()
        data.setup()
    except (InputError, OSError, TypeError) as error:  # TypeError: options of another version
        if file is not None:
            raise
        return None, (), f"none, {error}"
    wanted = (network.config.num_inputs, network.config.num_classes)
    if (data.num_inputs, data.num_classes) != wanted:
        raise InputError(
            f"{file or 'the data of the run'} must have the inputs and classes that the network was trained"
            f" for, {wanted[0]} and {wanted[1]}, got {data.num_inputs} and {data.num_classes}."
        )
    evidence = observe(network, batches_of(data.val_dataloader()))
    source = str(file) if file else f"validation set of {data.dataset}"
    return evidence, data.class_names, f"{source}, {int(evidence.confusion.sum()):,} samples"


def _binning(config: NetworkConfig) -> dict[str, Any]:
    """Options of the data with which SHD's channels make the inputs of this network."""
    return {
        "time_step_ms": config.time_step_ms,
        "channels_per_bin": max(1, math.ceil(700 / config.num_inputs)),
    }


def _diagnose(trained: Trained, rows: Rows, evidence: Evidence | None, num_epochs: int) -> list[str]:
    """Signs of trouble up to the epoch of the checkpoint."""
    layers = named_delay_layers(trained.network)
    counts = {
        name: {trained.epoch: delay_histogram(layer).tolist()}
        for name, layer in layers.items()
        if layer.delay is not None
    }
    seen = {epoch: row for epoch, row in rows.items() if epoch < trained.epoch}
    found = []
    if evidence is not None:  # what it does now counts, not what it did in its last epochs
        rates = {f"firing_rate/{name}": rate for name, rate in evidence.firing_rates.items()}
        found = diagnose(trained.network.config, {0: rates}, {}, num_epochs=1)
        seen = {epoch: {k: v for k, v in row.items() if k not in rates} for epoch, row in seen.items()}
    found += diagnose(trained.network.config, seen, counts, num_epochs)
    return [f"warning: {finding}" for finding in found]
