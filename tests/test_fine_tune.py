"""Fine-tuning from the command line: one run starts where another ended, with its delays as they are."""

import json

import pytest
import torch

from lit_delays.cli.main import main

from .conftest import ROOT
from .test_cli import TINY, _runs_here, files, mistake  # noqa: F401  (a fixture)

OVERLAY = ["--config", str(ROOT / "configs/models/fine_tune.yaml"), "--name", "tuned"]


@pytest.fixture
def words(tmp_path):
    """A command that trains a little network on a dozen samples."""
    return ["fit", *files(tmp_path), *TINY, "--model.network.synapses.max_delay_ms=90"]


@pytest.fixture
def trained(tmp_path, words):
    """The folder of a run of it."""
    main([*words, "--name", "run"])
    return tmp_path / "runs/run"


def test_a_run_starts_from_another_keeps_its_delays_and_needs_it_no_more_to_go_on(trained, words, capsys):
    source = trained / "checkpoints/best.ckpt"
    command = [*words, *OVERLAY, "--start_from", str(source)]
    main(command)
    before, after = (
        torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
        for run in (trained, trained.parent / "tuned")
    )
    assert before.keys() == after.keys()
    for name in before:
        if name.endswith(".delay"):
            assert torch.equal(after[name], before[name].round())
        elif name.endswith(".weight"):
            assert not torch.equal(after[name], before[name])
    capsys.readouterr()
    main(["report", str(trained), str(trained.parent / "tuned")])
    assert "| tuned | fixed |" in capsys.readouterr().out
    assert json.loads((trained.parent / "tuned/result.json").read_text())["model"] == "fine_tune"

    source.unlink()
    main(command)
    main(["test", "--config", str(trained.parent / "tuned/config.yaml")])
    assert mistake(capsys, *command, "--name", "late") == (
        f"no checkpoint at {source}; check `--start_from`."
    )
    assert not (trained.parent / "late").exists()


def test_a_run_does_not_start_from_itself(trained, words, capsys):
    options = ["--start_from", "runs/run/checkpoints/last.ckpt", "--name", "run"]
    line = mistake(capsys, *words, *options)
    assert line == "`--start_from` is a checkpoint of this run, run; give another --name."
