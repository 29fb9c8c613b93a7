"""The command line, from options to the files of a run, and what it says to mistakes."""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from inspect import isabstract
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import wandb
import yaml

from lit_delays.cli.main import COMMANDS, main
from lit_delays.cli.option_checks import metric_names
from lit_delays.cli.options import fit_parser, read
from lit_delays.components import parameters_of, part_type, subclasses
from lit_delays.data.datasets import Dataset
from lit_delays.errors import InputError
from lit_delays.snn.kernels import Kernel
from lit_delays.snn.neurons import Neuron
from lit_delays.snn.surrogates import Surrogate
from lit_delays.snn.synapses import Synapses
from lit_delays.training.loading import load_network

from .conftest import ROOT

QUICK = ["--config", str(ROOT / "configs/quickstart.yaml"), "--trainer.accelerator", "cpu"]
TINY = ["--model.network.hidden_sizes", "[8]", "--data.batch_size", "90", "--trainer.max_epochs", "2"]


def files(tmp_path, **changes):
    """A little data set in SHD's schema, two speakers and two classes."""
    for split in ("train", "test"):
        write(tmp_path / f"{split}.h5", **changes)
    return ["--data.dataset", "SpikeFiles"] + [
        f"--data.dataset.{split}_file={tmp_path / split}.h5" for split in ("train", "test")
    ]


def write(path, times=None, units=None, labels=None, speakers=(0, 1), names=(b"a", b"b"), without=()):
    random = np.random.default_rng(0)
    if times is None:
        times = [np.sort(random.random(30) * 0.4).astype(np.float16) for _ in range(12)]
    if units is None:
        units = [random.integers(0, 700, len(sample)) for sample in times]
    labels = np.arange(len(times)) % 2 if labels is None else labels
    columns = {
        "spikes/times": (times, h5py.vlen_dtype(np.float16)),
        "spikes/units": (units, h5py.vlen_dtype(np.uint16)),
    }
    with h5py.File(path, "w") as file:
        for name, (rows, dtype) in columns.items():
            if name not in without:
                column = file.create_dataset(name, (len(rows),), dtype)
                for index, row in enumerate(rows):
                    column[index] = np.asarray(row)
        for name, values in {
            "labels": np.asarray(labels, np.uint16),
            "extra/speaker": np.resize(np.asarray(speakers, np.uint16), len(times)),
            "extra/keys": np.asarray(names),
        }.items():
            if name not in without:
                file[name] = values


@pytest.fixture(autouse=True)
def _runs_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIT_DELAYS_DEBUG", raising=False)


def mistake(capsys, *args):
    """The one line that a wrong command prints."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("lit_delays: error: ")
    return line.removeprefix("lit_delays: error: ")


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("LIT_DELAYS_CACHE", str(root / "cache"))
        main(["fit", *QUICK, *TINY, "--name", "run"])
    return root / "runs/run"


@pytest.fixture
def trained(trained_once, tmp_path):
    """A finished run that a test may go on with: a copy."""
    return Path(shutil.copytree(trained_once, tmp_path / "runs/run"))


def test_fit_leaves_everything_of_a_run_in_its_folder(trained, capsys):
    left = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert left == {
        "config.yaml",
        "provenance.json",
        "SHA256SUMS",
        "metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "learning.png",
        "delays.csv",
        "delays.png",
        "confusion.png",
        "sample.png",
        "result.json",
    }
    assert json.loads((trained / "result.json").read_text())["num_epochs"] == 2


def test_the_result_also_has_the_accuracy_of_the_last_epoch(trained, capsys):
    result = json.loads((trained / "result.json").read_text())
    capsys.readouterr()
    main(["test", "--config", str(trained / "config.yaml"), "--ckpt_path", "last"])
    assert f"test accuracy {result['last_accuracy']:.2%} " in capsys.readouterr().out


def test_fit_ends_in_one_line_that_says_how_the_epoch_was_chosen(tmp_path, capsys):
    main(["fit", *QUICK, *TINY])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("test accuracy")]
    assert len(lines) == 1
    assert "95 % interval" in lines[0]
    assert lines[0].endswith("of 2, chosen by random 10 % of train")


def test_the_saved_config_has_every_option_and_runs_again(trained, capsys):
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["name"] == "run"
    assert config["model"]["network"]["hidden_sizes"] == [8]
    way = {"schedule": "exponential", "start": None, "final": 0.5, "duration": 0.25}
    assert config["sigma"] == {**way, "recurrent_start": 10.0, "recurrent_decay": 0.95}
    capsys.readouterr()
    main(["test", "--config", str(trained / "config.yaml")])
    result = json.loads((trained / "result.json").read_text())
    assert f"test accuracy {result['accuracy']:.2%} " in capsys.readouterr().out


def test_the_network_takes_its_inputs_and_classes_from_the_data(trained):
    saved = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)["hyper_parameters"]["network"]
    assert (saved["num_inputs"], saved["num_classes"], saved["time_step_ms"]) == (20, 10, 10.0)


def test_the_same_command_goes_on_with_the_same_run(tmp_path, capsys):
    command = ["fit", *QUICK, *TINY]
    main(command)
    (folder,) = (tmp_path / "runs").iterdir()
    table = (folder / "metrics.csv").read_bytes()
    capsys.readouterr()
    main(command)
    assert "epoch 1/" not in capsys.readouterr().out
    assert list((tmp_path / "runs").iterdir()) == [folder]
    assert (folder / "metrics.csv").read_bytes() == table


def test_predict_writes_an_answer_for_every_test_sample(trained, tmp_path, capsys):
    main(["predict", "--config", str(trained / "config.yaml")])
    rows = table(trained / "predictions.csv")
    right = sum(row["prediction"] == row["label"] for row in rows)
    result = json.loads((trained / "result.json").read_text())
    assert [int(row["sample"]) for row in rows] == list(range(result["num_samples"]))
    assert right / len(rows) == pytest.approx(result["accuracy"])


def test_validate_of_the_best_checkpoint_repeats_the_logged_metric(trained, capsys):
    main(["validate", "--config", str(trained / "config.yaml")])
    rows = table(trained / "metrics.csv")
    assert len(rows) == 2
    best = max(float(row["val/acc"]) for row in rows)
    shown = re.search(r"val/acc\W+([\d.]+)", capsys.readouterr().out)
    assert float(shown[1]) == pytest.approx(best, abs=1e-12)


def test_the_last_checkpoint_is_not_called_chosen(trained, capsys):
    main(["test", "--config", str(trained / "config.yaml"), "--ckpt_path", "last"])
    assert "epoch 2 of 2, chosen by being the last" in capsys.readouterr().out


def test_report_is_a_table_of_runs_and_their_figures(trained, capsys):
    capsys.readouterr()
    main(["report", str(trained)])
    out = capsys.readouterr().out
    assert "| run | learned |" in out
    assert str(trained / "delays.png") in out


def test_own_files_are_validated_on_held_out_speakers(tmp_path, capsys):
    main(["fit", *files(tmp_path), *TINY, "--trainer.max_epochs=1", "--name=own"])
    assert "chosen by held-out speaker" in capsys.readouterr().out


def test_the_paper_protocol_is_said_everywhere(tmp_path, capsys):
    main(["fit", *files(tmp_path), *TINY, "--trainer.max_epochs=1", "--data.validation=paper", "--name=own"])
    assert "chosen by test set (paper protocol)" in capsys.readouterr().out
    assert "test set (paper protocol)" in (tmp_path / "runs/own/result.json").read_text()


def test_an_empty_sample_trains_as_silence_and_one_spike_as_a_spike(tmp_path, capsys):
    times = [np.zeros(0, np.float16), np.array([0.1], np.float16)] * 6
    data = files(tmp_path, times=times, speakers=(0, 0, 1, 1))
    main(["fit", *data, *TINY, "--trainer.max_epochs=1", "--name=own"])
    assert "test accuracy" in capsys.readouterr().out


def test_weights_and_biases_stay_offline_without_a_key(tmp_path, monkeypatch, capsys):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    overlay = ["--config", str(ROOT / "configs/wandb.yaml")]
    main(["fit", *QUICK, *TINY, *overlay, "--trainer.max_epochs=1", "--name=offline"])
    assert list((tmp_path / "runs/offline/wandb").glob("offline-run-*"))
    assert (tmp_path / "runs/offline/metrics.csv").exists()


def test_a_run_of_a_wandb_agent_answers_to_it_without_being_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    wandb.finish()  # runs of other tests in this process
    main(["fit", *QUICK, *TINY, "--trainer.max_epochs=1", "--name=swept"])
    told = dict(wandb.run.config)  # not its file: that is written by another process, in its own time
    wandb.finish()
    assert list((tmp_path / "runs/swept/wandb").glob("offline-run-*"))
    assert "global_batch_size" in told


def test_help_lists_every_command(capsys):
    main(["--help"])
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


def test_help_of_fit_explains_options_with_their_units(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--help"])
    assert stopped.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--model.network.synapses" in out
    assert "--sigma.final" in out
    assert "--data.clip_ms" in out


def test_help_of_a_class_explains_its_options(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--model.network.synapses.help", "SynapticDelays"])
    assert stopped.value.code == 0
    assert "Delay window in ms" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.callbacks+=Timer"],
        ["--trainer.callbacks=Timer"],
        ["--trainer.callbacks={class_path: LearningRateMonitor}"],
        ["--trainer.plugins=SLURMEnvironment"],
        ["--trainer.plugins={class_path: lightning.pytorch.plugins.environments.LightningEnvironment}"],
    ],
)
def test_one_callback_or_plugin_needs_no_list(words, tmp_path, capsys):
    main(["fit", *QUICK, *TINY, "--trainer.max_epochs=1", "--name=one", *words])
    assert (tmp_path / "runs/one/result.json").exists()


def test_what_is_printed_is_a_config_that_runs_the_same(tmp_path, capsys):
    words = [*QUICK, *TINY, "--model.network.neuron=PLIF", "--model.network.synapses.kernel=Laplace"]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *words, "--print_config"])
    assert stopped.value.code == 0
    Path("printed.yaml").write_text(capsys.readouterr().out)
    assert read(["--config=printed.yaml"])["model"] == read(words)["model"]


def test_help_answers_faster_than_lightning_is_imported():
    def seconds(*command):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=ROOT)
        return time.perf_counter() - start

    assert seconds("-m", "lit_delays", "--help") < 1.5 * seconds("-c", "import lightning.pytorch")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--model.network.synapses.max_delay_ms=4"],
            "`max_delay_ms` must be at least one time step (10 ms), got 4.",
        ),
        (
            ["--model.network.neuron.tau_mem_ms=4"],
            "`tau_mem_ms` must be at least one time step (10 ms), got 4.",
        ),
        (["--model.network.dropout=1"], "`dropout` must be in [0, 1), got 1.0."),
        (
            ["--model.network.synapses.fan_in=100"],
            "`fan_in` must be between 1 and the 20 possible synapses of a neuron",
        ),
        (
            ["--model.network.hidden_sizes=[0]"],
            "`hidden_sizes` must be one or more numbers of at least 1, got [0].",
        ),
        (["--model.optimizer.delay_lr=0"], "`delay_lr` must be above 0, got 0.0."),
        (["--sigma.final=0"], "`sigma.final` must be above 0 time steps, got 0.0."),
        (["--data.clip_ms=200"], "`--data.clip_ms` must be at least the longest delay (300 ms)"),
        (["--data.augment.noise=-1"], "`--data.augment.noise` must be at least 0, got -1."),
        (
            ["--data.augment.channel_mask=21"],
            "`--data.augment.channel_mask` must be at most 20 channels, got 21.",
        ),
        (
            ["--model.network.synapses.max_dlay_ms=250"],
            "`--model.network.synapses.max_dlay_ms` is no option of",
        ),
        (["--model.network.neuron=lfi"], "lfi"),
        (["--config=nowhere.yaml"], "nowhere.yaml"),
        (["--name=../up"], "`--name` must be 1 to 64 letters, digits, '.', '_' or '-', got '../up'."),
        (["--trainer.max_epochs=-1"], "`--trainer.max_epochs` must be at least 1, got -1: the schedules"),
        (["--ckpt_path=nowhere.ckpt"], "no checkpoint at nowhere.ckpt"),
        (
            ["--trainer.callbacks+=Tymer"],
            "`--trainer.callbacks` must be a known class, or the path of one, or null, got Tymer.",
        ),
        (
            ["--trainer.callbacks={class_path: Timer, init_args: {second: 3}}"],
            "`--trainer.callbacks` has a wrong lightning.pytorch.callbacks.Timer: Option 'second' is not",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(options, sentence, capsys, tmp_path):
    assert sentence in mistake(capsys, "fit", *QUICK, *TINY, *options)
    assert not (tmp_path / "runs").exists()


MISTAKES = {
    "no such device": (["--trainer.accelerator=tpu"], "these options make no run: "),
    "an unknown accelerator": (
        ["--trainer.accelerator=quantum"],
        "these options make no run: You selected an invalid accelerator name: `accelerator='quantum'`.",
    ),
    "an unknown strategy": (
        ["--trainer.strategy=dpp"],
        "these options make no run: You selected an invalid strategy name: `strategy='dpp'`.",
    ),
    "a strategy for GPUs": (["--trainer.strategy=fsdp"], "The strategy `fsdp` requires a GPU accelerator"),
    "an unknown profiler": (["--trainer.profiler=fast"], "it can only be one of ['simple', 'advanced', 'pyt"),
    "no devices": (["--trainer.devices=0"], "`--trainer.devices` must be at least 1, or auto, got 0."),
    "negative devices": (["--trainer.devices=-3"], "`--trainer.devices` must be from -1 to 10,000, got -3."),
    "a list of no devices": (["--trainer.devices=[]"], "`Trainer(devices=[])` value is not a valid input"),
    "no nodes": (["--trainer.num_nodes=0"], "`--trainer.num_nodes` must be from 1 to 100,000, got 0."),
    "a metric that nothing logs": (
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val_loss"],
        "`monitor` of EarlyStopping must be one of val/acc, val/loss, train/acc, train/loss, lr/weights, ",
    ),
    "a checkpoint of a metric that nothing logs": (
        ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor=val/accuracy"],
        "delay_change/readout, got 'val/accuracy'.",
    ),
    "a callback that cannot work": (
        ["--trainer.callbacks+=LearningRateFinder"],
        "`LearningRateFinder` cannot set the rates, which follow --model.optimizer; leave it out, or",
    ),
    "a logger without its package": (
        ["--trainer.logger={class_path: TensorBoardLogger, init_args: {save_dir: .}}"],
        "these options make no run: Neither `tensorboard` nor `tensorboardX` is available.",
    ),
    "a mode that is none": (
        ["--trainer.callbacks={class_path: EarlyStopping, init_args: {monitor: val/acc, mode: up}}"],
        "these options make no run: `mode` can be min, max, got up",
    ),
    "a time that is none": (
        ["--trainer.callbacks={class_path: Timer, init_args: {duration: abc}}"],
        "these options make no run: `Timer(duration='abc')` is not a valid duration.",
    ),
    "another writer of checkpoints": (
        ["--trainer.plugins=AsyncCheckpointIO"],
        "`--trainer.plugins` must have no CheckpointIO: checkpoints are written as a whole.",
    ),
    "a million processes": (
        ["--data.num_workers=100000"],
        "`--data.num_workers` must be at most 256, got 100000.",
    ),
    "a negative seed": (
        ["--seed_everything=-1"],
        "`--seed_everything` must be from 0 to 4,294,967,295, got -1",
    ),
    "no validation": (
        ["--trainer.val_check_interval=0"],
        "`--trainer.val_check_interval` must be from 1e-06",
    ),
}


@pytest.mark.parametrize(("options", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_plain_mistake_is_one_line_before_training(options, sentence, capsys, tmp_path):
    if "TensorBoardLogger" in options[0] and find_spec("tensorboard"):
        pytest.skip("tensorboard is here")
    assert sentence in mistake(capsys, "fit", *QUICK, *TINY, *options)
    assert not (tmp_path / "runs").exists()


def numeric_options():
    """Every option that takes a number, those of every class of a part among them, and its type."""
    for action in fit_parser()._actions:
        if not action.dest.startswith(("model.network.num_", "model.network.time_step_ms")):  # the data's
            yield [], action.dest, getattr(action, "_typehint", None) or action.type
    for part, base in PARTS.items():
        for cls in subclasses(base):
            if cls.__module__.startswith("lit_delays.") and not isabstract(cls):
                words = [f"--{part}={cls.__name__}"]
                yield from ((words, f"{part}.{name}", kind) for name, kind in parameters_of(cls).items())


PARTS = {
    "data.dataset": Dataset,
    "model.network.neuron": Neuron,
    "model.network.neuron.surrogate": Surrogate,
    "model.network.synapses": Synapses,
    "model.network.synapses.kernel": Kernel,
}
NUMBER = re.compile(r"(?<![\w.])(int|float)\b(?!.*lightning)|<class '(int|float)'>")


@pytest.mark.parametrize(
    "value", [".inf", "-.inf", ".nan", "1e300", "1000000000000", "-1000000000000", "inf"]
)
def test_every_numeric_option_has_a_range(value):
    options = [one for one in numeric_options() if NUMBER.search(str(one[2])) and part_type(one[2]) is None]
    assert len(options) > 60
    taken = []
    for words, option, kind in options:
        shown = f"[{value}]" if str(kind).startswith("list") else value
        shown = f"[1, {value}]" if str(kind).startswith("tuple[float") else shown
        with suppress(InputError):
            read([*words, f"--{option}={shown}"])
            taken.append(option)
    assert taken == []


def test_the_metrics_that_may_be_watched_are_those_of_the_table(trained):
    network = load_network(trained / "checkpoints/best.ckpt").network
    assert set(metric_names(network)) == set(table(trained / "metrics.csv")[0]) - {"epoch"}


@pytest.mark.parametrize("command", ["report", "inspect", "sweep"])
def test_help_needs_no_torch(command):
    code = (
        "import sys; from lit_delays.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    )
    code += "assert not {'torch', 'lightning', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code, command, "--help"], check=True, capture_output=True, cwd=ROOT)


def test_a_typo_in_a_file_names_the_option(capsys, tmp_path):
    (tmp_path / "typo.yaml").write_text("model:\n  network:\n    hiden_sizes: [8]\n")
    assert "hiden_sizes" in mistake(capsys, "fit", "--config", "typo.yaml")


def test_a_command_that_does_not_exist_is_refused(capsys):
    assert mistake(capsys, "fitt") == f"unknown command 'fitt'; choose from {', '.join(COMMANDS)}."


def test_a_checkpoint_that_is_missing_says_how_to_get_one(capsys):
    assert "no checkpoint at" in mistake(capsys, "test", *QUICK, *TINY)


def test_missing_data_say_where_they_were_looked_for_and_how_to_get_them(capsys, tmp_path):
    line = mistake(capsys, "fit", "--config", str(ROOT / "configs/shd.yaml"), "--data.dataset.data_dir=here")
    assert str(tmp_path / "here" / "shd_train.h5") in line
    assert f"python -m lit_delays data fetch shd --data-dir {tmp_path / 'here'}" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"without": ("labels",)}, "labels"),
        ({"without": ("spikes/times",)}, "spikes/times"),
        ({"units": [[700] * 30] * 12}, "units"),
        ({"labels": [2] * 12}, "labels"),
        ({"labels": [0] * 11}, "one entry a label (11), got 12"),
        ({"times": [[np.nan]] * 12}, "times"),
        ({"times": [[100.0]] * 12}, "times"),
        ({"times": [], "units": []}, "at least one sample"),
        ({"times": [[0.1, 0.2]] * 12, "units": [[1]] * 12}, "sample 0"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(changes, words, capsys, tmp_path):
    line = mistake(capsys, "fit", *files(tmp_path, **changes), *TINY)
    assert words in line
    assert str(tmp_path / "train.h5") in line
    assert not (tmp_path / "runs").exists()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_file_that_is_not_hdf5_is_one_line(capsys, tmp_path):
    data = files(tmp_path)
    (tmp_path / "train.h5").write_text("not spikes")
    assert str(tmp_path / "train.h5") in mistake(capsys, "fit", *data, *TINY)


def test_a_missing_own_file_is_one_line(capsys, tmp_path):
    data = files(tmp_path)
    (tmp_path / "test.h5").unlink()
    assert str(tmp_path / "test.h5") in mistake(capsys, "fit", *data, *TINY)


def test_reporting_an_unfinished_run_is_one_line(capsys, tmp_path):
    assert "no result.json in" in mistake(capsys, "report", str(tmp_path))


def test_predictions_hold_the_score_of_every_class_whatever_the_batch(trained, capsys):
    tables = []
    for size in (1, 64):
        main(["predict", "--config", str(trained / "config.yaml"), f"--data.batch_size={size}"])
        tables.append(table(trained / "predictions.csv"))
    names = [name for name in tables[0][0] if name.startswith("score of ")]
    assert len(names) == 10
    for alone, together in zip(*tables, strict=True):
        scores = {name: float(alone[name]) for name in names}
        assert alone["prediction"] == max(scores, key=scores.get).removeprefix("score of ")
        assert scores == pytest.approx({name: float(together[name]) for name in names}, rel=1e-4, abs=1e-4)
