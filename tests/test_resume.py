"""A run that is cut off anywhere and started again ends like one that never was."""

import json
import os
import re
import resource
import signal
import subprocess
import sys

import pytest
import torch

from lit_delays.cli import fit as lightning_cli
from lit_delays.cli.main import main
from lit_delays.training.callbacks.exact_resume import ExactResume
from lit_delays.training.classifier import DelayClassifier

from .conftest import ROOT
from .cuts import OPTIONS, SETS, compare

NUM_BATCHES = 3
SMALL = {**OPTIONS, "trainer.max_epochs": 2, "trainer.limit_train_batches": NUM_BATCHES}
WORDS = [f"--{name}={value}" for name, value in SMALL.items()]
CUTS = int(os.environ.get("LIT_DELAYS_CUTS", "0"))  # random cuts of real processes, ten seconds each or more


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.delenv("LIT_DELAYS_DEBUG", raising=False)
    monkeypatch.setattr(lightning_cli, "draw_run", lambda *_: [])


def fit(root, *words):
    """Run in this process; returns the exit code."""
    try:
        main(["fit", *WORDS, f"--trainer.default_root_dir={root}", *words])
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module")
def uncut(tmp_path_factory):
    root = tmp_path_factory.mktemp("uncut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightning_cli, "draw_run", lambda *_: [])
        assert fit(root) == 0
    return root / "run"


def at_step(monkeypatch, number, deed):
    """Do something in the training step with this number, counted from 0."""
    plain, count = DelayClassifier.training_step, iter(range(10**6))

    def training_step(self, batch):
        if next(count) == number:
            deed(self)
        return plain(self, batch)

    monkeypatch.setattr(DelayClassifier, "training_step", training_step)


def state(run, name="last"):
    return torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("step", "number", "code", "kept"),
    [
        (4, signal.SIGTERM, 143, (1, 2)),  # inside an epoch
        (2, signal.SIGINT, 130, (1, 3)),  # in the last batch of one: the answer waits for the validation
    ],
)
def test_a_stopped_run_goes_on_at_the_next_batch(
    step, number, code, kept, uncut, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda _: os.kill(os.getpid(), number))
        assert fit(tmp_path) == code
    assert f"stopped by {number.name} after epoch" in capsys.readouterr().err
    loops = state(tmp_path / "run")["loops"]["fit_loop"]
    epochs, batches = (loops[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
    assert (epochs["processed"], batches["ready"]) == kept
    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(ExactResume, "on_before_optimizer_step", lambda *_: steps.append(1), raising=False)
        assert fit(tmp_path) == 0
    assert len(steps) == 2 * NUM_BATCHES - (step + 1)
    assert compare(uncut, tmp_path / "run") == []


@pytest.mark.filterwarnings("ignore:When using .Trainer.accumulate_grad_batches")
@pytest.mark.parametrize("name", [name for name in SETS if name != "plain"])
def test_options_and_callbacks_that_change_training_go_on_exactly(name, tmp_path, monkeypatch):
    words = [f"--{option}={value}" for option, value in SETS[name].items()]
    words += ["--trainer.max_epochs=3", "--trainer.limit_train_batches=5"]
    assert fit(tmp_path / "uncut", *words) == 0
    with monkeypatch.context() as patch:
        at_step(patch, 6, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        assert fit(tmp_path / "cut", *words) == 143
    assert fit(tmp_path / "cut", *words) == 0
    assert compare(tmp_path / "uncut/run", tmp_path / "cut/run") == []


def test_a_full_disk_is_one_line_and_loses_at_most_an_epoch(uncut, tmp_path, monkeypatch, capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        # what is checked first is the table: its row of epoch 2 is there when the checkpoint is not
        room = (resource.RLIMIT_FSIZE, (4000, limits[1]))
        at_step(patch, 2 * NUM_BATCHES - 1, lambda _: resource.setrlimit(*room))
        try:
            assert fit(tmp_path) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"lit_delays: error: cannot write {tmp_path / 'run/checkpoints'}")
    assert "the one before is still there. Make room for it, and repeat the command to go on." in line
    assert len((tmp_path / "run/metrics.csv").read_text().splitlines()) == 3
    assert state(tmp_path / "run")["epoch"] == 0
    assert fit(tmp_path) == 0
    assert compare(uncut, tmp_path / "run") == []


def test_numbers_that_are_not_finite_stop_a_run_and_keep_its_checkpoints(tmp_path, monkeypatch, capsys):
    def spoil(module):
        module.network.layers[0].norm.weight.data[3] = torch.nan

    at_step(monkeypatch, NUM_BATCHES + 1, spoil)
    assert fit(tmp_path) == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert "training diverged in epoch 2, batch 2: the loss is" in line
    assert "not finite is first the parameter `hidden1.norm.weight`" in line
    assert all(tensor.isfinite().all() for tensor in state(tmp_path / "run")["state_dict"].values())
    assert state(tmp_path / "run")["epoch"] == 0


@pytest.mark.parametrize(
    ("option", "before", "now"), [("trainer.max_epochs", 2, 9), ("model.optimizer.weight_lr", 0.005, 0.5)]
)
def test_a_run_keeps_its_options(option, before, now, uncut, capsys):
    assert fit(uncut.parent, f"--{option}={now}") == 2
    assert (
        f"this run began with `--{option}={before}`, got {now}: its schedules and results belong to that."
        f" Repeat the command with {before} to go on, or give another --name to start anew."
    ) in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_read_is_one_line(tmp_path, capsys):
    last = tmp_path / "run/checkpoints/last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"half a checkp")
    assert fit(tmp_path) == 2
    assert f"{last} must be a whole checkpoint of tensors and plain values" in capsys.readouterr().err


def test_every_checkpoint_and_the_folder_say_where_a_run_comes_from(uncut):
    record = json.loads((uncut / "provenance.json").read_text())
    assert record["versions"]["torch"] == str(torch.__version__)
    assert record["options"]["model"]["network"]["dropout"] == OPTIONS["model.network.dropout"]
    assert record["git"] is None or re.fullmatch(r"[0-9a-f]{40}", record["git"]["commit"])
    for name in ("best", "last"):
        assert state(uncut, name)["provenance"] == record


def test_validating_the_best_checkpoint_repeats_the_logged_numbers_exactly(uncut):
    cli = lightning_cli.DelayCLI("validate", [*WORDS, f"--trainer.default_root_dir={uncut.parent}"])
    header, *rows = (line.split(",") for line in (uncut / "metrics.csv").read_text().splitlines())
    best = rows[state(uncut, "best")["epoch"]]
    for name in ("val/acc", "val/loss"):
        assert float(cli.trainer.callback_metrics[name]) == float(best[header.index(name)])


@pytest.mark.skipif(not CUTS, reason="starts processes; give their number as LIT_DELAYS_CUTS")
def test_runs_cut_at_random_moments_end_alike():
    command = [sys.executable, "-m", "tests.cuts", f"--cuts={CUTS}"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert f"{CUTS} of {CUTS} identical" in done.stdout, done.stdout + done.stderr
