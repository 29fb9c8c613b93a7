"""From the checkpoint of a run to what it has learned, in words and figures."""

from pathlib import Path

import pytest
import torch

from lit_delays.cli.main import main

from ..test_cli import QUICK, TINY, files, mistake, write

PICTURES = ["learning.png", "delays.png", "confusion.png", "sample.png"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIT_DELAYS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a short run."""
    folder = tmp_path_factory.mktemp("runs")
    options = [*QUICK, *TINY, "--data.batch_size", "200"]
    main(["fit", *options, "--trainer.default_root_dir", str(folder), "--name", "run"])
    return folder / "run"


def changed(run, path, change):
    """A copy of the run's best checkpoint with other tensors."""
    saved = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    change(saved["state_dict"])
    torch.save(saved, path)
    return path


def test_a_run_is_told_and_drawn(run, capsys):
    main(["inspect", str(run)])
    out = capsys.readouterr().out
    assert "data: validation set of Patterns, 200 samples" in out
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if "|" in line]
    assert ["synapses", "160", "80", "240"] in table
    assert ["Loihi 2", "62 steps", "fits: 30 steps"] in table
    assert "needs data" not in out
    assert [line.rsplit("/")[-1] for line in out.splitlines() if line.startswith("figure:")] == PICTURES
    assert sorted(path.name for path in (run / "inspect").iterdir()) == sorted(PICTURES)


def test_a_checkpoint_alone_needs_data_for_its_spikes(run, tmp_path, capsys):
    path = changed(run, tmp_path / "alone.ckpt", lambda tensors: None)
    main(["inspect", str(path)])
    out = capsys.readouterr().out
    assert "data: none, as there is no config.yaml of a run; give --data FILE.h5" in out
    assert "needs data" in out
    assert [path.name for path in (tmp_path / "inspect").iterdir()] == ["delays.png"]


def test_delays_forced_to_the_border_are_named(run, tmp_path, capsys):
    path = changed(run, tmp_path / "x.ckpt", lambda it: it["network.layers.0.synapses.delay"].fill_(30.0))
    main(["inspect", str(path)])
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        "warning: delays of hidden1 pile up at 300 ms: 100% of its synapses (evenly spread: 5%); lower"
        " --model.optimizer.delay_lr, or widen --model.network.synapses.max_delay_ms"
    ]


def test_a_checkpoint_that_fell_silent_is_named(run, tmp_path, capsys):
    folder = tmp_path / "copy"
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("config.yaml", "metrics.csv"):
        (folder / name).write_bytes((run / name).read_bytes())
    silence = folder / "checkpoints/best.ckpt"
    changed(run, silence, lambda tensors: tensors["network.layers.0.norm.bias"].fill_(-1000.0))
    main(["inspect", str(silence)])
    assert "warning: hidden1 is silent: 0 spikes per second and neuron" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"not a checkpoint", b""])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, capsys, content):
    path = tmp_path / "foreign.ckpt"
    path.write_bytes(content)
    line = mistake(capsys, "inspect", str(path))
    assert line.startswith(f"{path} must be a whole checkpoint of tensors and plain values; ")
    assert line.endswith("; give one, or the folder of a run that has trained.")


def test_a_checkpoint_of_something_else_is_refused(tmp_path, capsys):
    path = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}, "epoch": 1}, path)
    assert "is no checkpoint of lit_delays; give one" in mistake(capsys, "inspect", str(path))


def test_a_missing_checkpoint_is_one_line(tmp_path, capsys):
    assert mistake(capsys, "inspect", "gone.ckpt") == (
        "no checkpoint at gone.ckpt; give one, or the folder of a run that has trained."
    )


def test_a_file_of_spikes_is_refused_for_a_network_of_other_data(run, tmp_path, capsys):
    line = mistake(capsys, "inspect", str(run), "--data", str(tmp_path / "own.h5"))
    assert line == (
        "`--data` must be a file of spikes for a network that was trained on spikes, which this one was not,"
        f" got {tmp_path}/own.h5; leave it out to take the data of its run."
    )


def test_a_file_is_cut_into_inputs_as_the_data_of_the_run_were(tmp_path, capsys):
    own = [*files(tmp_path), "--data.dataset.channels_per_bin", "50", "--data.clip_ms", "350"]
    main(["fit", *QUICK, *TINY, *own, "--name", "own"])
    path = changed(Path("runs/own"), tmp_path / "alone.ckpt", lambda tensors: None)
    told = []
    for model, extra in (("runs/own", []), (str(path), ["--data", str(tmp_path / "train.h5")])):
        capsys.readouterr()
        main(["inspect", model, *extra])
        told.append(capsys.readouterr().out)
    assert "data: validation set of SpikeFiles, 6 samples" in told[0]
    assert f"data: {tmp_path}/train.h5, 12 samples" in told[1]
    write(tmp_path / "other.h5", names=(b"a", b"b", b"c"), labels=[0, 1, 2] * 4)
    line = mistake(capsys, "inspect", "runs/own", "--data", str(tmp_path / "other.h5"))
    assert line == (
        f"{tmp_path}/other.h5 must have the inputs and classes that the network was trained for, 14 and 2,"
        " got 14 and 3."
    )
