"""Two processes (gloo) train the network that one process trains, and count every test sample once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch
import yaml

from lit_delays.cli.main import main

from .conftest import ROOT

ODD = 751
TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]


def write(path, num_samples):
    """Four classes, each with most of its spikes in a quarter of the channels."""
    random = np.random.default_rng(num_samples)
    labels = np.arange(num_samples) % 4
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (num_samples,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (num_samples,), h5py.vlen_dtype(np.uint16))
        for index, label in enumerate(labels):
            times[index] = np.sort(random.random(40) * 0.2).astype(np.float16)
            own = random.random(40) < 0.4
            units[index] = np.where(
                own, 175 * label + random.integers(0, 175, 40), random.integers(0, 700, 40)
            )
        file["labels"] = labels.astype(np.uint16)
        file["extra/speaker"] = (np.arange(num_samples) // 4 % 5).astype(np.uint16)
        file["extra/keys"] = np.array([b"a", b"b", b"c", b"d"])


def fit(folder, name, *words):
    """Run the worker; returns the folder of the run, and what it printed."""
    command = [sys.executable, "-m", "tests.ddp_worker"]
    options = {
        "data.dataset": "SpikeFiles",
        "data.dataset.train_file": folder / "train.h5",
        "data.dataset.test_file": folder / "test.h5",
        "data.clip_ms": 200,
        "data.padding": "fixed",  # else the length of a batch, and so the readout, depends on its samples
        "model.network.hidden_sizes": [16, 16],
        "model.network.synapses.max_delay_ms": 100,
        "model.network.recurrent": "RecurrentDelays",
        "model.network.dropout": 0,
        "trainer.max_epochs": 2,
        "trainer.accelerator": "cpu",
        "trainer.default_root_dir": folder / "runs",
        "name": name,
    }
    words = [*(f"--{key}={value}" for key, value in options.items()), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LIT_DELAYS_CACHE": str(folder / "cache")}
    environment["OMP_NUM_THREADS"] = "1"
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / name, done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    write(folder / "train.h5", 480)
    write(folder / "test.h5", ODD)
    one, _ = fit(folder, "one", "--data.batch_size=20", "--trainer.devices=1")
    two, printed = fit(folder, "two", "--data.batch_size=10", *TWO)
    return one, two, printed


def kept(run, rank):
    return torch.load(run / f"rank{rank}.pt", weights_only=True)


def test_two_processes_make_one_run(trained):
    _, two, printed = trained
    assert sorted(path.name for path in two.parent.iterdir()) == ["one", "two"]
    assert len(list(two.rglob("config.yaml"))) == 1
    assert int(yaml.safe_load((two / "config.yaml").read_text())["trainer"]["devices"]) == 2
    assert len((two / "metrics.csv").read_text().splitlines()) == 3
    assert printed.count("test accuracy") == 1


def test_the_global_batch_is_said_once(trained):
    assert trained[2].count("batch: 20 samples on 2 devices") == 1


def test_lightning_has_nothing_to_warn_of(trained):
    assert "sync_dist" not in trained[2]


def test_gradients_are_those_of_one_process_with_the_same_global_batch(trained):
    one, two, _ = trained
    expected = kept(one, 0)["gradients"]
    assert {name.rpartition(".")[2] for name in expected} == {"weight", "delay", "axonal_delay", "bias"}
    for rank in (0, 1):
        for name, gradient in kept(two, rank)["gradients"].items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)
            assert gradient.abs().max() > 1e-5


def test_every_rank_has_the_same_sigma_delays_and_weights(trained):
    first, second = (kept(trained[1], rank)["state"] for rank in (0, 1))
    assert any(name.endswith("sigma") for name in first)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_accuracy_on_an_odd_number_of_samples_is_that_of_one_process(trained, monkeypatch, capsys):
    _, two, _ = trained
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(two.parents[1] / "cache"))
    result = json.loads((two / "result.json").read_text())
    assert result["num_samples"] == ODD
    assert 0.3 < result["accuracy"] < 1
    assert (result["accuracy"] * ODD) == pytest.approx(round(result["accuracy"] * ODD), abs=1e-3)
    alone = ["--trainer.devices=1", "--trainer.strategy=auto"]
    main(["predict", "--config", str(two / "config.yaml"), *alone])
    answers = [line.split(",") for line in (two / "predictions.csv").read_text().splitlines()[1:]]
    right = sum(prediction == label for _, prediction, label, *_ in answers)
    assert len(answers) == ODD
    assert round(result["accuracy"] * ODD) == right


def test_synchronised_batch_norm_without_gpus_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--data.dataset=Patterns", "--trainer.accelerator=cpu", "--trainer.sync_batchnorm=true"]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *options])
    assert stopped.value.code == 2
    assert "`--trainer.sync_batchnorm` needs GPUs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_process_whose_others_never_come_answers_a_signal(number, code, tmp_path):
    options = [
        "--data.dataset=Patterns",
        "--trainer.accelerator=cpu",
        f"--trainer.default_root_dir={tmp_path}",
    ]
    ranks = {
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "lit_delays", "fit", *options, *TWO]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **ranks}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while "batch: " not in process.stdout.readline():  # what is said before they meet
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_predict_asks_for_one_device(trained, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--config", str(trained[1] / "config.yaml")])
    assert stopped.value.code == 2
    assert "`predict` needs --trainer.devices=1, got 2 devices." in capsys.readouterr().err
