"""The benchmarks run, in their smallest sizes, and say what they promise."""

import json
import os
import runpy
import subprocess
import sys

import pytest

from benchmarks.variants import STUDIES
from lit_delays.cli.options import read
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig

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


@pytest.mark.parametrize(
    ("words", "peer"), [(["--fan-in", "10"], "dense"), (["--shortest", "3"], "full")], ids=["dense", "full"]
)
def test_a_step_is_timed_beside_another_of_ours(words, peer):
    config = ["--config", "configs/spoken_digits.yaml"]
    measured = json.loads(run("step.py", *config, *words, "--peer", peer, *SMALL, "--json").splitlines()[-1])
    assert measured["speedup"] == pytest.approx(measured[f"{peer}_step_s"] / measured["step_s"])


def test_a_layer_of_neurons_is_timed_and_weighed():
    sizes = ["--num-steps", "5", "--batch-size", "2", "--neurons", "4", "--rounds", "1", "--repeats", "1"]
    measured = json.loads(run("layers.py", "--layer", "csilif", *sizes, "--json").splitlines()[-1])
    assert measured["step_s"] > 0
    assert measured["peak_mb"] >= 0


CARD = ["equality", "step", "epoch", "graphs", "recurrent", "neurons", "precision", "forms", "profile"]


def test_all_parts_of_the_script_for_a_card_run_on_a_cpu():
    told = run("gpu.py", *CARD, "--device", "cpu", "--small", "--repeats", "1")
    rows = [json.loads(line) for line in told.splitlines()]
    assert [row["part"] for row in rows if "part" in row] == CARD
    errors = [row["largest_error"] for row in rows if "largest_error" in row]
    assert len(errors) >= 8
    assert max(errors) < 1e-5
    assert all(row["step_s"] > 0 for row in rows if "step_s" in row)


def test_a_part_that_fails_costs_no_other(tmp_path):
    script = (ROOT / "benchmarks/gpu.sh").read_text()
    assert [name for name in CARD if f"\n{name} " in script] == CARD
    failing = tmp_path / "python"
    failing.write_text('#!/bin/sh\ncase "$*" in *step*) exit 3 ;; *) echo "{\\"part\\": 1}" ;; esac\n')
    failing.chmod(0o755)
    settings = {"SMALL": "--small", "PYTHON": str(failing)}
    command = [str(ROOT / "benchmarks/gpu.sh"), str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | settings)
    said = (tmp_path / "out/summary.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in said] == CARD
    assert [" exit 3," in line for line in said] == [name == "step" for name in CARD]
    assert len((tmp_path / "out/all.jsonl").read_text().splitlines()) == len(CARD) - 1


def test_every_benchmark_says_what_it_measures(monkeypatch, capsys):
    """As scripts, in this process: each would import torch once more in one of its own."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        if path.stem in ("stacks", "epoch"):
            continue
        monkeypatch.setattr(sys, "argv", [str(path), "--help"])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        assert end.value.code == 0
        assert path.read_text().splitlines()[0].strip('"') in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_of_a_study_is_one_that_fit_accepts(study, monkeypatch):
    monkeypatch.chdir(ROOT)
    variants = STUDIES[study].variants
    read_ones = [read(["--config", f"configs/{STUDIES[study].config}.yaml", *it]) for it in variants.values()]
    assert len({str(one) for one in read_ones}) == len(variants)
    for one in read_ones:
        linked = {"time_step_ms": one["data"]["time_step_ms"]}
        Network(NetworkConfig.of(one["model"]["network"] | linked))


def test_a_study_is_told_and_drawn_from_the_runs_that_are_done(tmp_path):
    row = {
        "group": "SiLIF",
        "name": "delays",
        "num_parameters": 208896,
        "synaptic_operations": 1000,
        "seconds": 60.0,
    }
    lines = [json.dumps(row | {"seed": seed, "accuracy": 0.7 + 0.1 * seed}) for seed in range(3)]
    lines.append(json.dumps(row | {"name": "a peer's", "seed": 0, "accuracy": 0.5}))
    (tmp_path / "results.jsonl").write_text("\n".join([*lines, lines[0][:20]]))  # the last was cut off
    told = run("variants.py", "neurons", "--folder", str(tmp_path), "--only-draw")
    assert "| SiLIF | delays | 3 | 80.0% +- 24.8% | 208,896 | 60 | 1,000 |" in told
    assert "| SiLIF | a peer's | 1 | 50.0% | 208,896 | 60 | 1,000 |" in told
    assert (tmp_path / "table.md").read_text().strip() in told
    assert (tmp_path / "neurons.png").stat().st_size > 10_000
