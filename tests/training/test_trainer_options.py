"""Lightning's options and callbacks, as their users know them: they work, or one line says why not."""

import json
import subprocess
import sys

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from lit_delays.cli import fit as fit_module
from lit_delays.cli.main import main
from lit_delays.training.callbacks.exact_resume import ExactResume
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.epoch_table import read_table
from lit_delays.training.loading import load_network
from tests.cuts import OPTIONS, compare

NUM_TEST_SAMPLES = 500
SMALL = {
    **OPTIONS,
    "trainer.max_epochs": 2,
    "trainer.limit_train_batches": 2,
    "trainer.limit_test_batches": 1,
}
EARLY = [
    "--trainer.callbacks+=EarlyStopping",
    *("--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.min_delta=10"),
    *("--trainer.callbacks.patience=1", "--trainer.max_epochs=8"),
]


@pytest.fixture(autouse=True)
def _quick(tmp_path, monkeypatch):
    monkeypatch.delenv("LIT_DELAYS_DEBUG", raising=False)
    monkeypatch.setattr(fit_module, "draw_run", lambda *_: [])
    monkeypatch.chdir(tmp_path)


def fit(*words, without=()):
    """Run in this process; returns the exit code."""
    options = [f"--{name}={value}" for name, value in SMALL.items() if name not in without]
    try:
        main(["fit", *options, *words])
    except SystemExit as end:
        return end.code
    return 0


def epochs(tmp_path):
    return list(read_table(tmp_path / "runs/run/metrics.csv"))


@pytest.mark.parametrize(
    "words",
    [
        ["--trainer.callbacks+=LearningRateMonitor"],
        ["--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_interval=epoch"],
        ["--trainer.callbacks+=DeviceStatsMonitor", "--trainer.callbacks.cpu_stats=false"],
        ["--trainer.callbacks=LearningRateMonitor"],
        ["--trainer.callbacks+=TQDMProgressBar"],
        ["--trainer.callbacks+=Timer"],
        ["--trainer.plugins=lightning.pytorch.plugins.environments.LightningEnvironment"],
        ["--trainer.overfit_batches=1"],
        ["--trainer.precision=64-true"],
        ["--trainer.precision=bf16-true"],
        ["--trainer.precision=bf16-mixed"],
        ["--trainer.precision=16-true"],
    ],
    ids=lambda words: " ".join(word.removeprefix("--trainer.") for word in words),
)
def test_what_works_with_lightning_works_here(words, tmp_path):
    assert fit(*words) == 0
    assert epochs(tmp_path) == [0, 1]
    assert (tmp_path / "runs/run/result.json").exists()
    load_network(tmp_path / "runs/run/checkpoints/best.ckpt")


def test_rows_that_a_callback_logs_reach_the_users_logger(tmp_path):
    logger = ["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"]
    assert fit("--trainer.callbacks+=LearningRateMonitor", *logger) == 0
    header = next(tmp_path.rglob("version_0/metrics.csv")).read_text().splitlines()[0]
    assert "lr-Adam/weights" in header
    assert "lr-Adam/weights" not in (tmp_path / "runs/run/metrics.csv").read_text()


@pytest.mark.parametrize("share", [2, 0.25])
def test_to_overfit_the_same_samples_come_in_every_epoch(share, monkeypatch):
    seen, step = [], DelayClassifier.training_step

    def training_step(self, batch):
        seen.append(batch.counts().sum(dim=0))
        return step(self, batch)

    monkeypatch.setattr(DelayClassifier, "training_step", training_step)
    limits = ("trainer.limit_train_batches", "trainer.limit_val_batches")
    assert fit(f"--trainer.overfit_batches={share}", without=limits) == 0
    assert len(seen) == (2 * 2 if share == 2 else 2 * 9)  # of 36 batches
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert all(torch.equal(one, same) for one, same in zip(first, second, strict=True))


@pytest.mark.parametrize(("limit", "tested"), [(1, 50), (3, 150), (1.0, NUM_TEST_SAMPLES)])
def test_a_result_says_how_many_samples_were_tested(limit, tested, tmp_path, capsys):
    assert fit(f"--trainer.limit_test_batches={limit}") == 0
    assert json.loads((tmp_path / "runs/run/result.json").read_text())["num_samples"] == tested
    assert f", {tested} samples)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--trainer.limit_test_batches=0"],
            "`--trainer.limit_test_batches` must be above 0, got 0: a run ends",
        ),
        (
            ["--trainer.limit_val_batches=0"],
            "`--trainer.limit_val_batches` must be above 0, got 0: the best epoch",
        ),
        (["--trainer.limit_train_batches=0.0"], "`--trainer.limit_train_batches` must be above 0, got 0"),
        (
            ["--trainer.max_steps=3"],
            "`--trainer.max_steps` must be left at -1, got 3: learning rates and sigma",
        ),
        (
            ["--trainer.max_epochs=-1"],
            "`--trainer.max_epochs` must be at least 1, got -1: the schedules need",
        ),
        (
            ["--trainer.check_val_every_n_epoch=3"],
            "must be at most --trainer.max_epochs (2), got 3: no epoch could",
        ),
        (
            ["--trainer.callbacks+=ModelPruning", "--trainer.callbacks.pruning_fn=l1_unstructured"],
            "`ModelPruning` keeps its masks in no checkpoint, so no run could go on from one; leave it out",
        ),
        (
            ["--trainer.limit_test_batches=0.001"],
            "`--trainer.limit_test_batches` must leave one batch of 10 or more, got 0.001: a run ends with",
        ),
        (["--data.clip_ms=50"], "`--data.clip_ms` must be at least the longest delay (60 ms)"),
        (["--trainer.overfit_batches=0.001"], "0.001 * 4 < 1. Please increase"),
        (
            ["--trainer.plugins=lightning.pytorch.plugins.io.AsyncCheckpointIO"],
            "`--trainer.plugins` must have no CheckpointIO",
        ),
    ],
)
def test_what_cannot_give_a_result_is_refused_before_training(words, sentence, tmp_path, capsys):
    assert fit(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert sentence in line
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--trainer.enable_checkpointing=false"], "no checkpoint was kept"),
        (["--trainer.fast_dev_run=true"], "no checkpoint was kept"),
        (
            ["--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=100"],
            "no epoch was validated",
        ),
    ],
)
def test_a_run_without_a_best_checkpoint_says_that_it_has_no_result(words, reason, tmp_path, capsys):
    assert fit(*words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"no result: {reason}"
    assert not (tmp_path / "runs/run/result.json").exists()


def test_averaged_weights_do_not_get_rates_of_their_own_without_a_word(capsys):
    assert fit("--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01") == 0
    assert "note: rates follow --model.optimizer; swa_lrs of StochasticWeightAveraging are not used" in (
        capsys.readouterr().out.splitlines()
    )


def test_the_line_of_an_epoch_has_its_own_sigma(tmp_path, capsys):
    assert fit("--sigma.duration=1") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    for line, row in zip(lines, read_table(tmp_path / "runs/run/metrics.csv").values(), strict=True):
        assert f"  sigma {row['sigma']:.3f}  " in line


def test_a_run_that_was_stopped_early_stays_finished(tmp_path):
    assert fit(*EARLY) == 0
    files = ("metrics.csv", "result.json", "checkpoints/last.ckpt")
    before = [(tmp_path / "runs/run" / name).read_bytes() for name in files]
    assert epochs(tmp_path) == [0, 1]
    assert fit(*EARLY) == 0
    assert [(tmp_path / "runs/run" / name).read_bytes() for name in files] == before


def test_a_run_stopped_early_and_killed_in_its_test_ends_like_one_that_was_not(tmp_path, monkeypatch):
    assert fit(*EARLY) == 0
    (tmp_path / "cut").mkdir()
    monkeypatch.chdir("cut")
    with monkeypatch.context() as patch:
        patch.setattr(fit_module.DelayCLI, "_test", lambda *_: exit(9))
        assert fit(*EARLY) == 9
    assert fit(*EARLY) == 0
    assert compare(tmp_path / "runs/run", tmp_path / "cut/runs/run") == []


@pytest.mark.parametrize(
    ("option", "before", "now"),
    [
        ("limit_train_batches", 2, 3),
        ("limit_val_batches", 1, 2),
        ("limit_test_batches", 1, 2),
        ("max_time", "None", "00:01:00:00"),
        ("overfit_batches", 0.0, 2.0),
        ("val_check_interval", "None", 0.5),
        ("accumulate_grad_batches", 1, 2),
        ("precision", "None", "64-true"),
    ],
)
def test_a_run_that_goes_on_keeps_the_options_of_its_trainer(option, before, now, tmp_path, capsys):
    options = {"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 1, "overfit_batches": 0.0}
    options |= {"limit_test_batches": 1, "accumulate_grad_batches": 1}
    provenance = {"provenance": {"options": {"trainer": options}}}
    for name in ("val_check_interval", "precision", "max_time"):
        provenance["provenance"]["options"]["trainer"][name] = None
    last = tmp_path / "runs/run/checkpoints/last.ckpt"
    last.parent.mkdir(parents=True)
    torch.save({"epoch": 0, "state_dict": {}, **provenance}, last)
    assert fit(f"--trainer.{option}={now}") == 2
    assert f"this run began with `--trainer.{option}={before}`, got {now}" in capsys.readouterr().err


SWING = ["--allow-import=tests", "--trainer.callbacks+=tests.cuts.Swing"]


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        ([], EARLY[:-1], "`--trainer.callbacks=none`, got EarlyStopping"),
        (SWING, [], "`--trainer.callbacks=Swing`, got none"),
        (SWING, [*SWING, "--trainer.callbacks.size=0.7"], "`--trainer.callbacks.Swing.size=0.5`, got 0.7"),
    ],
)
def test_a_run_that_goes_on_keeps_callbacks_that_change_it(first, second, sentence, capsys):
    assert fit(*first) == 0
    assert fit(*second) == 2
    assert f"this run began with {sentence}" in capsys.readouterr().err


def test_callbacks_that_look_on_may_change():
    assert fit("--trainer.callbacks+=LearningRateMonitor") == 0
    assert fit("--trainer.callbacks+=RichModelSummary") == 0


class Numpy(pl.Callback):
    def state_dict(self):
        return {"mean": np.float64(0.5)}


def test_a_state_that_no_run_could_go_on_from_is_refused_when_it_is_first_saved(tmp_path, capsys):
    assert fit(f"--allow-import={__name__}", f"--trainer.callbacks+={__name__}.Numpy") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "the state of Numpy must be tensors and plain values, or no run could go on" in line
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_result_says_what_part_of_the_validation_chose_it(tmp_path):
    assert fit() == 0
    selection = json.loads((tmp_path / "runs/run/result.json").read_text())["selection"]
    assert selection == "random 10 % of train, 1 of 4 batches"


def test_a_run_that_goes_on_keeps_its_number_of_devices(tmp_path, monkeypatch, capsys):
    assert fit(*EARLY) == 0
    load = ExactResume.load_state_dict
    with monkeypatch.context() as patch:
        patch.setattr(
            ExactResume, "load_state_dict", lambda self, state: load(self, {**state, "num_devices": 2})
        )
        patch.setattr(ExactResume, "on_load_checkpoint", lambda *_: None)  # as if it had not ended
        assert fit(*EARLY) == 2
    assert "this run began on 2 devices, got 1" in capsys.readouterr().err


def test_one_is_one_batch_whatever_was_imported_before():
    code = (
        "import lit_delays.data.datasets; from lit_delays.cli.options import read;"
        "name = 'limit_test_batches';"
        "print([read([f'--trainer.{name}={number}'])['trainer'][name] for number in (1, 1.0)])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[1, 1.0]"
