"""The benchmarks run, in their smallest sizes, and say what they promise."""

import json
import subprocess
import sys

import pytest

from .conftest import ROOT

SMALL = ["--batch-size", "2", "--num-steps", "10", "--rounds", "1", "--repeats", "1"]


def run(name, *options):
    command = [sys.executable, str(ROOT / "benchmarks" / name), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.parametrize("config", ["shd", "ssc_2kc"])
def test_a_step_is_timed_and_weighed(config):
    line = run("step.py", "--config", f"configs/{config}.yaml", *SMALL, "--json").splitlines()[-1]
    measured = json.loads(line)
    assert measured["step_s"] > 0
    assert 100 < measured["peak_mb"] < 2000


def test_a_layer_of_neurons_is_timed_and_weighed():
    sizes = ["--num-steps", "5", "--batch-size", "2", "--neurons", "4", "--rounds", "1", "--repeats", "1"]
    measured = json.loads(run("layers.py", "--layer", "csilif", *sizes, "--json").splitlines()[-1])
    assert measured["step_s"] > 0
    assert measured["peak_mb"] >= 0


def test_every_benchmark_says_what_it_measures():
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        if path.stem in ("stacks", "epoch"):
            continue
        assert path.read_text().splitlines()[0].strip('"') in " ".join(run(path.name, "--help").split())
