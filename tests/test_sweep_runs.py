"""A sweep makes every run once, whatever happens to it."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lit_delays.cli.main import main
from lit_delays.sweeps.manifest import Run, load
from lit_delays.sweeps.runner import Runner, environment_of
from lit_delays.training.epoch_table import read_table

from .conftest import ROOT

TINY = {
    "data.dataset": "Patterns",
    "data.batch_size": 500,
    "model.network.hidden_sizes": [8],
    "trainer.max_epochs": 2,
    "trainer.accelerator": "cpu",
}
SWEEP = {
    "method": "grid",
    "command": ["${env}", "python", "-m", "lit_delays", "fit", "${args}"],
    "parameters": {name: {"value": value} for name, value in TINY.items()}
    | {"seed_everything": {"values": [0, 1, 2]}},
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def sweep_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    return path


def started(*words):
    command = [sys.executable, "-m", "lit_delays", "sweep", *map(str, words)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sweep_killed_in_the_middle_loses_repeats_and_mixes_up_nothing(sweep_file, tmp_path):
    folder = tmp_path / "runs/tiny"
    first = started(sweep_file, "--jobs", 2)
    wait_for(lambda: len(list(folder.glob("*/checkpoints/last.ckpt"))) == 2)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    os.killpg(int(children[0]), signal.SIGKILL)
    first.kill()  # its other run trains on: a new sweep must wait for it, not start it once more
    second = started(sweep_file, "--jobs", 2)
    for process in (first, second):
        process.communicate()
    assert second.returncode == 0

    runs = load(folder / "manifest.jsonl")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(run.name for run in runs)
    for seed, run in enumerate(runs):
        assert (folder / run.name / "output.log").read_text().count("test accuracy") == 1
        assert list(read_table(folder / run.name / "metrics.csv")) == [0, 1]
        saved = yaml.safe_load((folder / run.name / "config.yaml").read_text())
        assert (saved["seed_everything"], saved["name"]) == (seed, run.name)
        assert json.loads((folder / run.name / "result.json").read_text())["num_epochs"] == 2


def test_two_sweeps_never_make_one_run_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("lit_delays.sweeps.runner.WORD", ["sh", "-c"])
    sweeps = [Runner(tmp_path, jobs=1) for _ in range(2)]
    assert [sweep.take(Run("run", ["sleep 0.5"])) for sweep in sweeps] == [True, False]
    sweeps[0].children[0].process.wait()
    assert sweeps[1].take(Run("run", ["true"]))
    sweeps[1].children[0].process.wait()


def test_a_run_that_another_sweep_makes_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lit_delays.sweeps.runner.WORD", ["sh", "-c"])
    sweeps = [Runner(tmp_path, jobs=1) for _ in range(2)]
    made_here, waited_for = [sweep.take(Run("run", ["sleep 0.5"])) for sweep in sweeps]
    assert (made_here, waited_for, sweeps[1].take(Run("run", ["true"]))) == (True, False, False)
    assert capsys.readouterr().err == "another process makes run; waiting for it\n"
    sweeps[0].children[0].process.wait()


def test_where_there_are_no_locks_a_sweep_goes_on_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("lit_delays.sweeps.runner.fcntl.flock", refuse)
    monkeypatch.setattr("lit_delays.sweeps.runner.WORD", ["sh", "-c"])
    runner = Runner(tmp_path, jobs=1)
    assert runner.take(Run("run", ["true"]))
    runner.children[0].process.wait()


def test_a_failing_run_is_named_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = {
        "bad": "import sys; sys.exit('no such luck')",
        "good": "open('runs/good/result.json', 'w')",
    }
    monkeypatch.setattr("lit_delays.sweeps.runner.WORD", [sys.executable, "-c"])
    runner = Runner(tmp_path / "runs", jobs=1)
    failed = runner.make([Run(name, [code]) for name, code in words.items()])
    assert [run.name for run in failed] == ["bad"]
    assert runner.last_words(failed[0]) == "no such luck"
    assert (tmp_path / "runs/good/result.json").exists()


@pytest.mark.parametrize(
    ("jobs", "visible", "expected"), [(3, None, ["0", "1", "0"]), (2, "4,7", ["4", "7"]), (1, None, [None])]
)
def test_runs_side_by_side_have_a_gpu_each(jobs, visible, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    given = [environment_of(slot, jobs).get("CUDA_VISIBLE_DEVICES") for slot in range(jobs)]
    assert given == expected


@pytest.mark.parametrize(("jobs", "threads"), [(1, "6"), (2, "3"), (4, "1"), (9, "1")])
def test_runs_side_by_side_share_the_cores_that_the_job_may_use(jobs, threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)))
    assert environment_of(0, jobs)["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert environment_of(0, jobs)["OMP_NUM_THREADS"] == "5"  # the user knows better


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stopped_sweep_stops_its_runs(number, tmp_path):
    code = (
        "import sys; from pathlib import Path; from lit_delays.sweeps import runner;"
        "runner.WORD = ['sh', '-c']; from lit_delays.sweeps.manifest import Run;"
        "runner.Runner(Path(sys.argv[1]), 1).make([Run('long', ['echo $$; exec sleep 600'])])"
    )
    sweep = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=ENVIRONMENT)
    log = tmp_path / "long/output.log"
    wait_for(lambda: log.exists() and log.read_text().strip())
    sweep.send_signal(number)
    assert sweep.wait(10) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


def test_a_dry_run_prints_the_lines_and_leaves_nothing(sweep_file, tmp_path, capsys):
    main(["sweep", str(sweep_file), "--dry-run", "--", "--model.network.dropout=0.2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("python -m lit_delays fit --data.dataset=Patterns") for line in lines)
    assert all("--model.network.dropout=0.2 --trainer.default_root_dir=runs/tiny --name=" in x for x in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_full_disk_is_one_line_before_anything_runs(sweep_file, tmp_path, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lit_delays.atomic_files.os.fsync", full)
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(sweep_file)])
    assert stopped.value.code == 2
    assert "cannot write runs/tiny/manifest.jsonl: No space left on device." in capsys.readouterr().err
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]


def test_names_say_what_sets_a_run_apart_and_follow_every_option(sweep_file, capsys):
    def names(*extra):
        main(["sweep", str(sweep_file), "--dry-run", *extra])
        return re.findall(r"--name=(\S+)", capsys.readouterr().out)

    assert [name[:11] for name in names()] == ["0-patterns-", "1-patterns-", "2-patterns-"]
    assert names() == names()
    assert not set(names()) & set(names("--", "--model.network.dropout=0.2"))


def test_task_i_of_the_slurm_array_is_line_i_of_the_manifest(sweep_file, tmp_path, capsys):
    main(["sweep", str(sweep_file), "--slurm"])
    script = capsys.readouterr().out
    assert script.startswith("#!/bin/bash\n")
    assert "#SBATCH --array=0-2\n" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    command = re.search(r"\nsrun (.*) --line", script)[1].split()
    assert command[:3] == [sys.executable, "-m", "lit_delays"]
    main([*command[3:], "--line", "1", "--dry-run"])
    assert "--seed_everything=1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--", "--model.network.hiden_sizes=[8]"], "line 0 of the sweep, `fit "),
        (["--", "--model.network.hiden_sizes=[8]"], "hiden_sizes"),
        (["--jobs", "0"], "argument --jobs: must be at least 1, got 0"),
        (["--jbos", "2"], "unrecognized arguments: --jbos 2"),
        (["--line", "3", "--slurm"], "`--line` must be from 0 to 2, got 3."),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(words, sentence, sweep_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(sweep_file), *words])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
