"""The files under deploy/ are well formed, and what they start exists."""

import re
import subprocess

import pytest
import yaml

from lit_delays.cli import COMMANDS
from lit_delays.fit_options import read

from .conftest import ROOT

FILES = {
    str(path.relative_to(ROOT / "deploy")): path for path in (ROOT / "deploy").rglob("*") if path.is_file()
}
SCRIPTS = [path for name, path in FILES.items() if name.endswith(".sh")]
MANIFESTS = [path for name, path in FILES.items() if name.endswith(".yaml")]


def test_all_files_are_here():
    assert set(FILES) == {
        "README.md",
        "kubernetes/sweep.yaml",
        "kubernetes/trainjob.yaml",
        "slurm_multi_node.sh",
        "slurm_one_node.sh",
    }


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_bash_and_says_what_it_is_for(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[1].startswith("# ")
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_starts_a_command_of_ours_as_nobody_special(path):
    text = path.read_text()
    (command,) = re.findall(r"command: \[(.*)\]", text)
    assert re.search(r"-m, lit_delays, (\w+)", command)[1] in COMMANDS
    assert "privileged" not in text


def test_the_train_job_is_accepted_by_fit(monkeypatch):
    monkeypatch.chdir(ROOT)
    trainer = yaml.safe_load(FILES["kubernetes/trainjob.yaml"].read_text())["spec"]["trainer"]
    options = read([*trainer["command"][4:], *trainer["args"]])
    assert options["trainer"]["num_nodes"] == trainer["numNodes"]


def test_options_of_the_multi_node_script_are_accepted_by_fit():
    words = re.findall(r"(--trainer\.\w+)=", FILES["slurm_multi_node.sh"].read_text())
    assert words == ["--trainer.strategy", "--trainer.num_nodes", "--trainer.devices"]
    read(["--trainer.strategy=ddp", "--trainer.num_nodes=2", "--trainer.devices=4"])


def test_the_sweep_job_has_a_pod_for_every_run():
    job = yaml.safe_load(FILES["kubernetes/sweep.yaml"].read_text())
    assert job["spec"]["completions"] == 35  # as many as ablation_sparse has lines
    assert job["spec"]["completionMode"] == "Indexed"
