"""What Weights & Biases gets of a run, read back from the file that it keeps; no key is in any file."""

import csv
import json
import os
import socket
import struct
import time
import zlib
from collections import defaultdict

import pytest
import wandb
from jsonargparse import Namespace
from wandb.proto.wandb_internal_pb2 import Record

from lit_delays.cli.main import main
from lit_delays.cli.tracking import place_wandb
from lit_delays.training.epoch_table import read_table

from .conftest import ROOT

KEY = "0123456789abcdef0123456789abcdef01234567"
BLOCK, HEADER = 2**15, struct.Struct("<IHB")  # of LevelDB's log: CRC, length, part; 7 bytes come first


def records(path):
    """The messages in a file of W&B; every part of one has a CRC that must hold."""
    content, place, message = path.read_bytes(), 7, b""
    assert content.startswith(b":W&B")
    while place + HEADER.size <= len(content):
        if BLOCK - place % BLOCK < HEADER.size:
            place += BLOCK - place % BLOCK
            continue
        crc, length, part = HEADER.unpack_from(content, place)
        data = content[place + HEADER.size : place + HEADER.size + length]
        if len(data) < length:
            return  # not all written yet
        assert zlib.crc32(bytes([part]) + data) == crc
        message += data
        if part in (1, 4):  # whole, or its last part
            yield Record.FromString(message)
            message = b""
        place += HEADER.size + length


def wait_until_written(path, limit_s=120):
    """W&B's other process writes the file in its own time, after `wandb.finish` too; `exit` comes last."""
    ends = time.monotonic() + limit_s
    while not any(record.HasField("exit") for record in records(path)):
        assert time.monotonic() < ends, f"{path} has no end after {limit_s} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        wandb.finish()  # runs of other tests in this process
        main(
            [
                "fit",
                *(f"--config={ROOT}/configs/{name}.yaml" for name in ("quickstart", "wandb")),
                *("--model.network.hidden_sizes=[8]", "--data.batch_size=500", "--trainer.max_epochs=2"),
                *("--trainer.accelerator=cpu", "--name=tracked"),
            ]
        )
        wandb.finish()
    (path,) = folder.glob("runs/tracked/wandb/offline-run-*/run-*.wandb")
    wait_until_written(path)
    return folder / "runs/tracked"


def test_an_offline_run_holds_the_options_and_the_metrics_and_sigma(run):
    (path,) = (run / "wandb").glob("offline-run-*/run-*.wandb")
    config, history, starts = {}, defaultdict(dict), []
    for record in records(path):
        if record.HasField("run"):
            starts.append((record.run.project, record.run.display_name))
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        config |= {item.key: json.loads(item.value_json) for item in record.config.update}
        row = {
            ".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item
        }
        if "epoch" in row:
            history[row["epoch"]] |= row

    assert ("lit_delays", "tracked") in starts
    assert config["options"]["model"]["network"]["hidden_sizes"] == [8]
    assert config["options"]["name"] == "tracked"
    assert config["global_batch_size"] == 500
    table = read_table(run / "metrics.csv")
    for epoch in (0, 1):
        for name in ("train/loss", "val/loss", "val/acc", "sigma", "firing_rate/hidden1", "lr/weights"):
            assert history[epoch][name] == pytest.approx(table[epoch][name]), (epoch, name)


def test_an_offline_run_holds_the_figures(run):
    (path,) = (run / "wandb").glob("offline-run-*/run-*.wandb")
    logged = defaultdict(dict)
    for record in records(path):
        for item in record.history.item:
            name, *rest = item.nested_key or [item.key]
            if name.startswith("figures/"):
                logged[name][".".join(rest)] = json.loads(item.value_json)
    assert set(logged) == {f"figures/{name}" for name in ("learning", "delays", "confusion", "sample")}
    for name, images in logged.items():
        (kept,) = (path.parent / "files" / file for file in images["filenames"])
        assert kept.read_bytes() == (run / f"{name.removeprefix('figures/')}.png").read_bytes()


@pytest.mark.parametrize(
    ("key", "network", "mode"), [(KEY, True, None), (KEY, False, "offline"), (None, True, "offline")]
)
def test_a_run_is_kept_offline_without_a_key_or_a_network(key, network, mode, monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_MODE", "")  # so that it is restored
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1] if network else 1}")
        monkeypatch.setattr("lit_delays.cli.wandb_server.getproxies", dict)
        options = Namespace(class_path="WandbLogger", init_args=Namespace(name=None))
        place_wandb(options, tmp_path / "run")
    assert os.environ.get("WANDB_MODE") == mode
    assert options.init_args.save_dir == str(tmp_path / "run")


def test_no_key_is_in_any_file_that_we_write(run):
    files = [path for path in run.parents[1].rglob("*") if path.is_file()]
    assert {"config.yaml", "result.json", "last.ckpt", "metrics.csv"} <= {path.name for path in files}
    assert any(path.suffix == ".wandb" for path in files)
    leaks = [str(path) for path in files if KEY.encode() in path.read_bytes()]
    assert not leaks


@pytest.mark.parametrize("interval", ["null", "epoch", "step"])
def test_rows_of_other_callbacks_reach_the_users_logger_and_the_table_keeps_whole_epochs(
    interval, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [f"--config={ROOT}/configs/quickstart.yaml", "--model.network.hidden_sizes=[8]", "--name=watched"]
    words += ["--data.batch_size=500", "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
    words += ["--trainer.callbacks+=LearningRateMonitor", f"--trainer.callbacks.logging_interval={interval}"]
    main(["fit", *words, "--trainer.logger={class_path: CSVLogger, init_args: {save_dir: .}}"])
    (path,) = (tmp_path / "runs/watched").rglob("version_0/metrics.csv")
    with path.open() as file:
        seen = [float(row["lr-Adam/weights"]) for row in csv.DictReader(file) if row["lr-Adam/weights"]]
    rows = read_table(tmp_path / "runs/watched/metrics.csv")
    assert list(rows) == [0, 1]
    assert rows[0].keys() == rows[1].keys()
    assert not any(name.startswith("lr-Adam") for name in rows[0])
    wanted = [rows[epoch]["lr/weights"] for epoch in (0, 1)]  # the rates of this epoch, not of the one before
    assert list(dict.fromkeys(seen)) == pytest.approx(wanted)


def test_rows_about_the_machine_reach_the_users_logger(tmp_path, monkeypatch, capsys):
    pytest.importorskip("psutil")
    monkeypatch.chdir(tmp_path)
    words = [f"--config={ROOT}/configs/quickstart.yaml", "--model.network.hidden_sizes=[8]", "--name=watched"]
    words += ["--data.batch_size=500", "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
    words += ["--trainer.callbacks+=DeviceStatsMonitor"]
    main(["fit", *words, "--trainer.logger={class_path: CSVLogger, init_args: {save_dir: .}}"])
    (path,) = (tmp_path / "runs/watched").rglob("version_0/metrics.csv")
    assert "cpu_percent" in path.read_text().splitlines()[0]
    rows = read_table(tmp_path / "runs/watched/metrics.csv")
    assert list(rows) == [0, 1]
    assert not any("cpu" in name for name in rows[0])


def test_the_test_accuracy_is_logged_once_and_is_that_of_the_result(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [f"--config={ROOT}/configs/quickstart.yaml", "--model.network.hidden_sizes=[8]", "--name=watched"]
    words += ["--data.batch_size=500", "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
    main(["fit", *words, "--trainer.logger={class_path: CSVLogger, init_args: {save_dir: .}}"])
    (path,) = (tmp_path / "runs/watched").rglob("version_0/metrics.csv")
    with path.open() as file:
        logged = [float(row["test/acc"]) for row in csv.DictReader(file) if row.get("test/acc")]
    result = json.loads((tmp_path / "runs/watched/result.json").read_text())
    assert logged == pytest.approx([result["accuracy"]])
