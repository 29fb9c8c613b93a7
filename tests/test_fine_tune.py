"""Fine-tuning from the command line: one run starts where another ended, with its delays as they are."""

import json

import torch

from lit_delays.cli import main

from .conftest import ROOT
from .test_cli import QUICK, TINY, _runs_here, mistake, trained  # noqa: F401  (fixtures)

OVERLAY = ["--config", str(ROOT / "configs/models/fine_tune.yaml"), "--name", "tuned"]


def test_a_run_starts_from_another_keeps_its_delays_and_needs_it_no_more_to_go_on(trained, capsys):  # noqa: F811
    source = trained / "checkpoints/best.ckpt"
    command = ["fit", *QUICK, *TINY, *OVERLAY, "--start_from", str(source)]
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
    assert mistake(capsys, *command[:-4], "--name", "late", *command[-2:]) == (
        f"no checkpoint at {source}; check `--start_from`."
    )
    assert not (trained.parent / "late").exists()


def test_a_run_does_not_start_from_itself(trained, capsys):  # noqa: F811
    options = ["--start_from", "runs/run/checkpoints/last.ckpt", "--name", "run"]
    line = mistake(capsys, "fit", *QUICK, *TINY, *options)
    assert line == "`--start_from` is a checkpoint of this run, run; give another --name."
