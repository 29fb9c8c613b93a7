"""export and stream, from a checkpoint to what they print."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import lightning.pytorch as pl
import nir
import numpy as np
import pytest
import torch

from lit_delays.cli.main import main
from lit_delays.cli.stream import input_of, live_counts
from lit_delays.data.binning import Binning
from lit_delays.data.datasets.patterns import Patterns
from lit_delays.data.module import SpikeData
from lit_delays.data.spike_arrays import SpikeArrays
from lit_delays.data.storage.shd_writing import SpikeTrain, write_spikes
from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.formats import safetensors_folder
from lit_delays.deploy.loading import load
from lit_delays.interface import Interface
from lit_delays.report.results import Result
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.loading import load_network

from . import foreign
from .conftest import SIZES, train_a_little


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Of a trainer that knows its data."""
    model = DelayClassifier(NetworkConfig(**SIZES))
    model.network.load_state_dict(train_a_little().state_dict())
    path = tmp_path_factory.mktemp("run") / "net.ckpt"
    trainer = pl.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False, max_epochs=0)
    trainer.fit(model, datamodule=SpikeData(Patterns))
    trainer.save_checkpoint(path)
    return path


@pytest.fixture(autouse=True)
def _runs_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "cache"))
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
    assert load("net").interface == load("run").interface == load(checkpoint).interface
    best.unlink()
    assert mistake(capsys, "export", "run", "-o", "again").startswith(
        "no checkpoint at run/checkpoints/best."
    )
    assert f"Its run: {result}." in (tmp_path / "net/README.md").read_text()


def test_a_checkpoint_knows_its_classes(checkpoint):
    interface = load(checkpoint).interface
    assert interface.class_names == tuple(f"pattern {label}" for label in range(10))
    assert interface.channels_per_bin == 1


def test_an_exported_checkpoint_answers_as_the_trained_network(checkpoint, counts, capsys):
    main(["export", str(checkpoint), "-o", "net"])
    assert capsys.readouterr().out == "net\n"
    loaded, trained = load("net"), load_network(checkpoint).network
    assert torch.equal(loaded.scores(counts.float()), deploy(trained).scores(counts.float()))
    assert loaded.class_names == trained.class_names
    assert torch.equal(load("net", "float64").scores(counts), deploy(deploy(trained).double()).scores(counts))
    main(["export", "net", "--format", "connections", "--precision", "float64", "-o", "net.npz"])
    assert np.load("net.npz")["hidden1/weight"].dtype == np.float64
    main(["export", "net", "--format", "nir", "-o", "net.nir"])


@pytest.mark.parametrize("task", ["ClassPerStep", "mine.Task"])
def test_a_stream_and_a_card_know_what_is_asked(task, capsys):
    network = deploy(train_a_little())
    network.interface = Interface(class_names=tuple("abcdefghij"), task=task)
    safetensors_folder.save(network, Path("net"))
    assert f"but it answers {task}; run it in Python" in mistake(capsys, "stream", "net", "-")
    answers = {
        "ClassPerStep": "in every step, the class of the largest readout",
        "mine.Task": "as `mine.Task` says",
    }
    card = Path("net/README.md").read_text()
    assert f"- Answer: {answers[task]}. Outputs: " in card
    assert "readout = network(inputs)" in card


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
    answer = int(load(checkpoint).scores(clip[: last_step + 1]).argmax())
    assert settled[1] == f"pattern {answer}"
    assert changes[-1].startswith(f"{settled[2]:>6} ms  {settled[1]}  ")


@pytest.mark.parametrize("clip_ms", [None, 95.0])
@pytest.mark.parametrize("rule", ["uniform", "paper"])
@pytest.mark.parametrize("time_step_ms", [10.0, 1.1])
def test_live_events_become_the_counts_of_a_recording(rule, clip_ms, time_step_ms):
    random = np.random.default_rng(0)
    for _ in range(20):
        times = (
            np.sort(random.integers(0, 1500, 40)) / 10_000
        )  # tenths of a ms, so many on the edges of steps
        times = np.append(times, times[-1] + 0.00005)  # but not the last, which only a recording knows
        units = random.integers(0, 14, len(times))
        binning = Binning(rule, time_step_ms, 5, 3, clip_ms)
        samples = SpikeArrays(
            indptr=np.array([0, len(times)]), times=times, units=units.astype(np.uint16), labels=np.array([0])
        )
        recorded = samples.batch(np.array([0]), binning).counts()[:, 0].numpy()
        lines = [f"{0.7 + at:.5f} {unit}\n" for at, unit in zip(times, units, strict=True)]
        assert np.array_equal(np.stack(list(live_counts(binning, 14, lines))), recorded)


def test_a_stream_takes_its_input_as_the_network_was_trained():
    network = train_a_little()
    network.interface = Interface(
        class_names=tuple("abcdefghij"), num_units=98, channels_per_bin=5, binning="paper", clip_ms=400.0
    )
    assert input_of(network) == (Binning("paper", 10.0, 20, 5, 400.0), 98)
    assert input_of(network, channels_per_bin=2) == (Binning("paper", 10.0, 20, 2, 400.0), 40)


def test_a_sample_of_a_file_streams_to_the_answer_of_the_batch(checkpoint, tmp_path, capsys):
    samples = Patterns().open("test")
    spikes = [SpikeTrain(*samples.sample(index), samples.labels[index]) for index in range(3)]
    write_spikes(tmp_path / "some.h5", spikes, samples.class_names, with_speakers=False)
    main(["stream", str(checkpoint), "some.h5", "--sample", "2"])
    counts = samples.batch(np.array([2]), Binning("uniform", 10.0, 20)).counts()
    network = load(checkpoint)
    answer = network.class_names[int(network.scores(counts).argmax())]
    assert f"answer: {answer} (" in capsys.readouterr().out
    assert mistake(capsys, "stream", checkpoint, "some.h5", "--sample", "3").startswith(
        "`--sample` must be in [0, 2] for some.h5, got 3."
    )


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("", "there are no events; the network starts with the first."),
        ("0.1\n", "line 1 must be `SECONDS CHANNEL`, got '0.1'."),
        ("0.1 2\n0.0 2\n", "line 2: events must come in the order of time, got 0 s."),
        ("0.1 20\n", "line 1: the channel must be in [0, 19] and the time a number, got '0.1 20';"),
        ("1e300 2\n", "line 1: the channel must be in [0, 19] and the time a number, got '1e300 2';"),
        ("inf 2\n", "line 1: the channel must be in [0, 19] and the time a number, got 'inf 2';"),
        (f"0.1 {'9' * 990}\n", "line 1: the channel must be in [0, 19] and the time a number, got '0.1 9"),
        ("1" * 10**6, f"line 1 must be `SECONDS CHANNEL`, got '{'1' * 20}' and 1000 characters or more."),
        (
            "0 2\n1e9 2\n",
            "line 2: an event must come within 100,000 time steps of the one before, got 100,000,000,000",
        ),
    ],
)
def test_wrong_events_are_refused(lines, sentence, checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert mistake(capsys, "stream", checkpoint, "-").startswith(sentence)


def test_events_that_are_no_text_are_refused(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"0.1 2\n\xff\xfe\n"), "utf-8"))
    line = mistake(capsys, "stream", checkpoint, "-")
    assert line.startswith("line 1 must be text, `SECONDS CHANNEL`; 'utf-8' codec can't decode byte 0xff")


def test_a_clip_that_has_ended_asks_for_no_silence(capsys):
    binning = Binning("uniform", 10.0, 5, 3, clip_ms=100.0)
    assert len(list(live_counts(binning, 14, ["0 1\n", "1e9 1\n"]))) == 10


@pytest.mark.parametrize("form", ["nir", "torch", "connections", "safetensors"])
def test_an_export_to_a_full_disk_is_one_sentence_and_leaves_nothing(form, checkpoint, tmp_path):
    code = (
        "import resource, signal, sys; from lit_delays.cli.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); main(sys.argv[1:])"
    )
    words = ["export", str(checkpoint), "--format", form, "-o", "net"]
    environment = {**os.environ, "LIT_DELAYS_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=environment
    )
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.strip().splitlines()
    assert line == "lit_delays: error: cannot write net: File too large; give another --output."
    assert not [path for path in tmp_path.iterdir() if "net" in path.name]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--readout", "lif"],
            "`--readout` belongs to --format nir, got --format safetensors; leave it out.",
        ),
        (
            ["--license", "mit", "--format", "nir"],
            "`--license` belongs to --format safetensors, got nir; leave it out.",
        ),
    ],
)
def test_an_option_of_another_format_is_refused(words, sentence, checkpoint, capsys):
    assert mistake(capsys, "export", checkpoint, "-o", "net", *words) == sentence


def test_the_readout_and_the_license_are_those_that_were_given(checkpoint, tmp_path):
    main(["export", str(checkpoint), "--format", "nir", "--readout", "lif", "-o", "net.nir"])
    assert type(nir.read("net.nir").nodes["readout"]).__name__ == "LIF"
    main(["export", str(checkpoint), "--license", "mit", "-o", "net"])
    assert "\nlicense: mit\n" in (tmp_path / "net/README.md").read_text()


def test_a_checkpoint_of_something_else_is_named(tmp_path, capsys):
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    torch.save({"state_dict": {}, "epoch": 1}, tmp_path / "empty.ckpt")
    for name, sentence in (
        ("text", "must be a whole checkpoint of tensors and plain values; "),
        ("other", "must be a checkpoint that `fit` wrote; "),
        ("empty", "is no checkpoint of lit_delays; "),
    ):
        line = mistake(capsys, "export", f"{name}.ckpt", "-o", "net")
        assert line.startswith(f"{name}.ckpt {sentence}")
    line = mistake(capsys, "export", "no.ckpt", "-o", "net")
    assert line == "no checkpoint at no.ckpt; give one, or the folder of a run that has trained."
    assert {path.name for path in tmp_path.iterdir()} == {"text.ckpt", "other.ckpt", "empty.ckpt"}


def test_an_unknown_format_is_refused(capsys):
    assert "invalid choice: 'onnx'" in mistake(capsys, "export", "x", "--format", "onnx", "-o", "y")


def test_a_missing_package_is_named(checkpoint, capsys, monkeypatch):
    monkeypatch.setattr("lit_delays.cli.export.find_spec", lambda name: None)
    line = mistake(capsys, "export", checkpoint, "--format", "nir", "-o", "net")
    assert line == "--format nir needs a package: pip install nir."


def test_parts_of_other_people_are_refused_until_they_are_allowed(tmp_path):
    safetensors_folder.save(train_a_little("neurons and synapses from outside"), tmp_path / "net")
    package, about = tmp_path / "somebody.py", tmp_path / "net" / "config.json"
    package.write_text(Path(foreign.__file__).read_text())
    about.write_text(about.read_text().replace(foreign.__name__, "somebody"))
    script = "from lit_delays.cli.main import main; main()"
    words = [sys.executable, "-c", script, "export", "net", "-o", "again"]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    stopped = subprocess.run(words, capture_output=True, text=True, env=known, check=False)
    assert stopped.returncode == 2
    (line,) = stopped.stderr.strip().splitlines()
    assert "`somebody.Tired` is no Neuron of lit_delays and may not be imported; give --allow-import" in line
    subprocess.run([*words, "--allow-import", "somebody"], check=True, env=known, capture_output=True)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        tmp_path / "net" / "model.safetensors"
    ).read_bytes()
