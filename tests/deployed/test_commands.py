"""export and stream, from a checkpoint to what they print."""

import io
import re

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from lit_delays.cli import main
from lit_delays.data.module import SpikeData
from lit_delays.deployed import folder
from lit_delays.deployed.network import deploy
from lit_delays.experiments.results import Result
from lit_delays.snn.network import NetworkConfig
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.loading import load_network

from .conftest import SIZES, train_a_little


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Of a trainer that knows its data."""
    model = DelayClassifier(NetworkConfig(**SIZES))
    model.network.load_state_dict(train_a_little().state_dict())
    path = tmp_path_factory.mktemp("run") / "net.ckpt"
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, max_epochs=0)
    trainer.fit(model, datamodule=SpikeData("patterns"))
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(autouse=True)
def _runs_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIT_DELAYS_DEBUG", raising=False)


def mistake(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, args)))
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line.removeprefix("lit_delays: error: ")


def test_the_folder_of_a_run_stands_for_its_best_checkpoint(checkpoint, tmp_path, capsys):
    best = tmp_path / "run/checkpoints/best.ckpt"
    best.parent.mkdir(parents=True)
    best.write_bytes(checkpoint.read_bytes())
    result = Result(
        accuracy=0.75, num_samples=100, epoch=3, num_epochs=5, selection="the test", num_parameters=12
    )
    result.save(tmp_path / "run")
    main(["export", "run", "-o", "net"])
    assert folder.load("net").class_names == load_network(checkpoint).class_names
    best.unlink()
    assert mistake(capsys, "export", "run", "-o", "again").startswith(
        "no checkpoint at run/checkpoints/best."
    )
    assert f"Its run: {result}." in (tmp_path / "net/README.md").read_text()


def test_a_checkpoint_knows_its_classes(checkpoint):
    trained = load_network(checkpoint)
    assert trained.class_names == tuple(f"pattern {label}" for label in range(10))
    assert trained.channels_per_bin == 1


def test_an_exported_checkpoint_answers_as_the_trained_network(checkpoint, counts, capsys):
    main(["export", str(checkpoint), "-o", "net"])
    assert capsys.readouterr().out == "net\n"
    loaded, trained = folder.load("net"), load_network(checkpoint)
    assert torch.equal(loaded.scores(counts.float()), deploy(trained.network).scores(counts.float()))
    assert loaded.class_names == trained.class_names
    main(["export", "net", "--format", "connections", "--precision", "float64", "-o", "net.npz"])
    assert np.load("net.npz")["hidden1/weight"].dtype == np.float64
    main(["export", "net", "--format", "nir", "-o", "net.nir"])


def test_a_stream_prints_the_running_answer(checkpoint, counts, capsys, monkeypatch):
    clip = (counts[:, :1] > 0).float()
    step, channel = np.nonzero(clip[:, 0].numpy())
    last_step = int(step.max())
    lines = [f"{0.5 + 0.01 * at} {unit}\n" for at, unit in zip(step, channel, strict=True)]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))
    main(["stream", str(checkpoint), "-"])
    *changes, last = capsys.readouterr().out.splitlines()
    assert changes[0].startswith("     0 ms  pattern ")
    settled = re.search(r"answer: (pattern \d) \(\d+%\), settled at (\d+) ms; input ended at (\d+) ms", last)
    assert int(settled[3]) == 10 * (last_step + 1)
    answer = int(deploy(load_network(checkpoint).network).scores(clip[: last_step + 1]).argmax())
    assert settled[1] == f"pattern {answer}"
    assert changes[-1].startswith(f"{settled[2]:>6} ms  {settled[1]}  ")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("", "there are no events; the network starts with the first."),
        ("0.1\n", "line 1 must be `SECONDS CHANNEL`, got '0.1'."),
        ("0.1 2\n0.0 2\n", "line 2: events must come in the order of time, got 0 s."),
        ("0.1 20\n", "line 1: the channel must be in [0, 19] and the time a number, got '0.1 20';"),
    ],
)
def test_wrong_events_are_refused(lines, sentence, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert mistake(capsys, "stream", checkpoint, "-").startswith(sentence)


def test_a_checkpoint_of_something_else_is_named(tmp_path, capsys):
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    torch.save({"state_dict": {}, "epoch": 1}, tmp_path / "empty.ckpt")
    for name, sentence in (
        ("text", "must be a whole checkpoint of tensors and plain values; "),
        ("other", "must be a checkpoint that `fit` wrote; "),
        ("empty", "is no checkpoint of lit_delays (KeyError); "),
    ):
        line = mistake(capsys, "export", f"{name}.ckpt", "-o", "net")
        assert line.startswith(f"{name}.ckpt {sentence}")
    line = mistake(capsys, "export", "no.ckpt", "-o", "net")
    assert line == "no checkpoint at no.ckpt; give one, or the folder of a run that has trained."
    assert {path.name for path in tmp_path.iterdir()} == {"text.ckpt", "other.ckpt", "empty.ckpt"}


def test_an_unknown_format_is_refused(capsys):
    assert "invalid choice: 'onnx'" in mistake(capsys, "export", "x", "--format", "onnx", "-o", "y")


def test_a_missing_package_is_named(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("lit_delays.commands.export.find_spec", lambda name: None)
    line = mistake(capsys, "export", checkpoint, "--format", "nir", "-o", "net")
    assert line == "--format nir needs a package: pip install nir."
