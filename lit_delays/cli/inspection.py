"""What ``inspect`` says of a network: its layers, the signs of trouble, and all figures."""

from pathlib import Path
from typing import Any

from lit_delays.components import Factory, rebuild
from lit_delays.data.datasets import Dataset, SpikeFiles
from lit_delays.data.module import SpikeData
from lit_delays.deploy.loading import checkpoint_of
from lit_delays.errors import InputError
from lit_delays.inspect.neuron_figures import time_constant_table
from lit_delays.inspect.observation import Observation, observe
from lit_delays.inspect.run_figures import batches_of, draw_all
from lit_delays.inspect.summary import describe
from lit_delays.inspect.tables import chip_table, layer_table
from lit_delays.metrics import delay_histogram
from lit_delays.plain_text import printable
from lit_delays.security.yaml_guard import read_yaml_file
from lit_delays.snn.network import Network
from lit_delays.tasks import task_named
from lit_delays.training.callbacks.delay_doctor import FILE_NAME as WARNINGS
from lit_delays.training.callbacks.delay_doctor import diagnose, read_run
from lit_delays.training.epoch_table import Rows
from lit_delays.training.loading import Trained, load_network


def tell(checkpoint: Path, file: Path | None, folder: Path | None) -> None:
    """Print and draw what the network of a checkpoint has learned.

    Args:
        checkpoint: A checkpoint, or the folder of a run.
        file: Samples to run it on; those of its run by default.
        folder: Where figures go; by default beside the run.
    """
    path = checkpoint_of(checkpoint)
    trained, run_dir = load_network(path), path.parent.parent
    config = run_dir / "config.yaml"
    run = read_yaml_file(config) if config.exists() else None
    observation, source = _observe(trained.network, file, run)
    _say(f"checkpoint: {path}, trained for {trained.epoch} epochs")
    _say(f"network: {describe(trained.network)}", f"data: {source}", "")
    _say(*layer_table(trained.network, observation), "", *chip_table(trained.network), "")
    if times := time_constant_table(trained.network):
        _say(*times, "")
    rows, histograms = read_run(run_dir) if run else ({}, {})
    num_epochs = run["trainer"]["max_epochs"] if run else 1
    told = run_dir / WARNINGS
    findings = (
        [f"while it trained, {line}" for line in told.read_text().splitlines()] if told.exists() else []
    )
    findings += _diagnose(trained, rows, observation, num_epochs)
    _say(*(findings or ["no sign of trouble"]))
    folder = folder or (run_dir if run else path.parent) / "inspect"
    names = trained.network.class_names
    figures = draw_all(trained.network, rows, histograms, observation, names, folder)
    _say(*[f"figure: {figure}" for figure in figures])


def _say(*lines: str) -> None:
    """Print what may come from other people's runs."""
    print(*map(printable, lines), sep="\n")


def _observe(
    network: Network, file: Path | None, run: dict[str, Any] | None
) -> tuple[Observation | None, str]:
    """What the network does, and where the samples are from."""
    if file is None and run is None:
        return None, "none, as there is no config.yaml of a run; give --data FILE.h5 for what needs spikes"
    try:
        data = SpikeData(**_data_options(network, file, run))
        data.prepare_data()
        data.setup()
    except (InputError, OSError, KeyError, TypeError) as error:  # the last two: options of another version
        if file is not None:
            raise
        return None, f"none, {error}"
    wanted = (network.config.num_inputs, network.config.num_classes)
    if (data.num_inputs, data.num_classes) != wanted:
        raise InputError(
            f"{file or 'the data of the run'} must have the inputs and classes that the network was trained"
            f" for, {wanted[0]} and {wanted[1]}, got {data.num_inputs} and {data.num_classes}."
        )
    task = task_named(data.task_name)(network.config.num_classes)
    observation = observe(network, batches_of(data.val_dataloader()), task)
    source = str(file) if file else f"validation set of {type(data.dataset).__name__}"
    return observation, f"{source}, {observation.num_samples:,} samples"


def _data_options(network: Network, file: Path | None, run: dict[str, Any] | None) -> dict[str, Any]:
    """How the run made its batches, without what is for training alone; from this file, if there is one."""
    options = {name: value for name, value in (run or {}).get("data", {}).items() if name != "augment"}
    if file is None:
        return {**options, "dataset": rebuild(Dataset, options["dataset"])}
    interface = network.interface
    if interface is None or interface.num_units is None:
        raise InputError(
            f"`--data` must be a file of spikes for a network that was trained on spikes, which this one was"
            f" not, got {file}; leave it out to take the data of its run."
        )
    files = dict.fromkeys(("train_file", "val_file", "test_file"), str(file))
    kept = {name: getattr(interface, name) for name in ("num_units", "channels_per_bin", "binning")}
    known = {"time_step_ms": network.config.time_step_ms, "clip_ms": interface.clip_ms}
    return {**options, **known, "dataset": Factory(SpikeFiles, files | kept)}


def _diagnose(trained: Trained, rows: Rows, observation: Observation | None, num_epochs: int) -> list[str]:
    """Signs of trouble up to the epoch of the checkpoint."""
    network = trained.network
    counts = {
        name: {trained.epoch: delay_histogram(synapses).tolist()}
        for name, synapses in network.named_synapses().items()
        if synapses.num_lags > 1
    }
    seen = {epoch: row for epoch, row in rows.items() if epoch < trained.epoch}
    found = []
    if observation is not None:  # what it does now counts, not what it did in its last epochs
        rates = {f"firing_rate/{name}": rate for name, rate in observation.firing_rates.items()}
        found = diagnose(network, {0: rates}, {}, num_epochs=1)
        seen = {epoch: {k: v for k, v in row.items() if k not in rates} for epoch, row in seen.items()}
    found += diagnose(network, seen, counts, num_epochs)
    return [f"warning: {finding}" for finding in found]
