"""A run that is cut off anywhere and started again ends like one that never was."""

import os
import signal

import pytest
import torch

from lit_delays import lightning_cli
from lit_delays.cli import main
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.resume import ExactResume

from .cuts import OPTIONS, compare

SMALL = {**OPTIONS, "trainer.max_epochs": 3, "trainer.limit_train_batches": 4}
WORDS = [f"--{name}={value}" for name, value in SMALL.items()]


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch):
    monkeypatch.delenv("LIT_DELAYS_DEBUG", raising=False)
    monkeypatch.setattr(lightning_cli, "draw_learning", lambda *_: None)
    monkeypatch.setattr(lightning_cli, "draw_delays", lambda *_: None)


def fit(root, *words):
    """Run in this process; returns the exit code, and the folder of the run."""
    code = 0
    try:
        main(["fit", *WORDS, f"--trainer.default_root_dir={root}", *words])
    except SystemExit as end:
        code = end.code
    return code, root / "run"


@pytest.fixture(scope="module")
def uncut(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lightning_cli, "draw_learning", lambda *_: None)
        patch.setattr(lightning_cli, "draw_delays", lambda *_: None)
        code, run = fit(tmp_path_factory.mktemp("uncut"))
    assert code == 0
    return run


def at_step(monkeypatch, number, deed):
    """Do something in the training step with this number, counted from 0 in every process."""
    plain, count = DelayClassifier.training_step, iter(range(10**6))

    def training_step(self, batch):
        if next(count) == number:
            deed()
        return plain(self, batch)

    monkeypatch.setattr(DelayClassifier, "training_step", training_step)


def send(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("step", "number", "code", "kept"),
    [
        (5, signal.SIGTERM, 143, (1, 2)),  # inside an epoch
        (4, signal.SIGUSR1, 143, (1, 1)),  # in the first batch of one
        (7, signal.SIGINT, 130, (2, 4)),  # in the last: the answer waits for the validation
    ],
)
def test_a_stopped_run_goes_on_at_the_next_batch(step, number, code, kept, uncut, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, step, send(number))
        assert fit(tmp_path)[0] == code
    run = tmp_path / "run"
    loops = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["loops"]["fit_loop"]
    epochs, batches = (loops[name]["current"] for name in ("epoch_progress", "epoch_loop.batch_progress"))
    assert (epochs["processed"], batches["ready"]) == kept
    assert not (run / "result.json").exists()
    trained = []
    with monkeypatch.context() as patch:
        patch.setattr(ExactResume, "on_before_optimizer_step", lambda *_: trained.append(1), raising=False)
        assert fit(tmp_path)[0] == 0
    assert len(trained) == 12 - (step + 1)
    assert compare(uncut, run) == []


@pytest.mark.parametrize("step", [2, 9])
def test_a_killed_run_repeats_what_no_checkpoint_holds(step, uncut, tmp_path, monkeypatch):
    def die():
        raise MemoryError

    with monkeypatch.context() as patch:
        at_step(patch, step, die)
        with pytest.raises(MemoryError):
            fit(tmp_path)
    assert fit(tmp_path)[0] == 0
    assert compare(uncut, tmp_path / "run") == []
