"""Parts from outside, without one edit in lit_delays: they train, resume and ship as ours do."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import lit_delays
from lit_delays.cli.main import main
from lit_delays.data.module import SpikeData
from lit_delays.snn.kernels import soft_kernel
from lit_delays.snn.operation import use
from lit_delays.training.classifier import DelayClassifier
from lit_delays.training.runs import best_checkpoint

from ..conftest import ROOT
from ..cuts import compare
from .conftest import HERE, sensors, words, write_sensors

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]), "OMP_NUM_THREADS": "1"}
DOCS = (ROOT / "docs" / "extend.md").read_text()


@pytest.mark.parametrize("path", sorted((HERE / "my_delays").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_the_page_shows_these_very_files(path):
    assert f"```python\n{path.read_text()}```" in DOCS


def test_a_run_of_parts_from_outside_learns(run):
    result = json.loads((run / "result.json").read_text())
    assert result["accuracy"] > 0.8  # chance is one half
    options = yaml.safe_load((run / "config.yaml").read_text())
    network = options["model"]["network"]
    assert network["neuron"]["class_path"] == "my_delays.neuron.RisingThreshold"
    assert network["neuron"]["init_args"]["rise"] == 0.1
    assert network["synapses"]["init_args"]["kernel"]["class_path"] == "my_delays.kernel.RaisedCosine"
    assert options["data"]["dataset"]["class_path"] == "my_delays.dataset.NpzSensors"


def test_every_neuron_learned_a_number_of_its_own(run):
    rise = lit_delays.load(run).layers[0].neuron.rise
    assert rise.shape == (12,)
    assert len(rise.unique()) == 12


def test_it_comes_back_from_a_notebook(run):
    network = lit_delays.load(run)
    assert type(network.layers[0].neuron).__name__ == "RisingThreshold"
    model = DelayClassifier.load_from_checkpoint(best_checkpoint(run), weights_only=True)
    assert model.network.config == network.config
    assert network.class_names == ("left", "right")
    values, labels = sensors(40, seed=1)
    answers = network.scores(torch.from_numpy(values).transpose(0, 1)).argmax(dim=-1)
    result = json.loads((run / "result.json").read_text())
    assert (answers == torch.from_numpy(labels)).float().mean().item() == pytest.approx(result["accuracy"])


def test_the_same_command_again_finds_a_finished_run(run, capsys, monkeypatch):
    before = (run / "metrics.csv").read_bytes()
    main(["fit", *words(run.parents[1])])
    assert (run / "metrics.csv").read_bytes() == before


def test_killed_and_repeated_it_ends_as_if_it_never_was(run, tmp_path):
    write_sensors(tmp_path)
    command = [sys.executable, "-m", "lit_delays", "fit", *words(tmp_path)]
    folder, last = tmp_path / "runs" / "run", tmp_path / "runs" / "run" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, cwd=tmp_path)
    while not last.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert last.exists()
    assert not (folder / "result.json").exists()
    main(["fit", *words(tmp_path)])
    assert [line for line in compare(run, folder) if str(tmp_path) not in line] == []


@pytest.fixture(scope="module")
def network(run):
    return lit_delays.load(run, precision="float64")


@pytest.fixture(scope="module")
def counts():
    return torch.from_numpy(sensors(3, seed=2)[0]).double().transpose(0, 1)


def outputs(network, counts):
    """Outputs of the hidden layers and the readout, each (T', B, N)."""
    seen = []
    handles = [
        layer.neuron.register_forward_hook(lambda _, inputs, output: seen.append(output))
        for layer in network.named_layers().values()
    ]
    network(counts)
    for handle in handles:
        handle.remove()
    return seen


def test_the_deployed_network_gives_the_spikes_of_the_trained_one(run, network, counts):
    model = DelayClassifier.load_from_checkpoint(best_checkpoint(run), weights_only=True)
    trained = outputs(model.network.double().eval(), counts)
    for mine, theirs in zip(outputs(network, counts), trained, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    assert all(0 < float(output.detach().mean()) < 0.9 for output in trained[:-1])


def test_a_stream_gives_the_spikes_of_the_batch_in_every_step(network, counts):
    batch = outputs(network, counts[:, :1])
    stream = lit_delays.Stream(network)
    steps = [stream.step(count) for count in counts[:, 0]] + list(stream.finish())
    for layer, expected in enumerate(batch[:-1]):
        mine = torch.stack([step.outputs[layer] for step in steps[: len(expected)]])
        assert torch.equal(mine, expected[:, 0])
    readout = torch.stack([step.readout for step in steps])
    torch.testing.assert_close(readout, batch[-1][:, 0], rtol=0, atol=1e-9)


def test_a_safetensors_folder_comes_back_with_equal_spikes(run, counts, tmp_path):
    main(
        ["export", str(run), "--format", "safetensors", "-o", str(tmp_path / "net"), "--precision", "float64"]
    )
    back, network = (lit_delays.load(path, precision="float64") for path in (tmp_path / "net", run))
    for mine, expected in zip(outputs(back, counts), outputs(network, counts), strict=True):
        assert torch.equal(mine, expected)


def test_a_torch_program_gives_equal_scores(run, network, counts, tmp_path):
    path = tmp_path / "net.pt2"
    main(["export", str(run), "--format", "torch", "-o", str(path), "--precision", "float64"])
    files = {"about.json": ""}
    step, batch = torch.export.load(path, extra_files=files).module(), counts.shape[1]
    about = json.loads(files["about.json"])
    state = {name: torch.zeros(batch, *shape).double() for name, shape in about["state"].items()}
    for at in range(len(counts) + about["layers"][-1]["extra_steps"]):
        after_end = max(0, at + 1 - len(counts))
        now = counts[min(at, len(counts) - 1)] * (not after_end)
        scores, state = step(now, torch.full((batch,), after_end), state)
    torch.testing.assert_close(scores, network.scores(counts), rtol=0, atol=1e-9)


def test_a_table_of_connections_has_its_learned_numbers(run, tmp_path):
    main(["export", str(run), "--format", "connections", "-o", str(tmp_path / "net.npz")])
    about = json.loads(str(np.load(tmp_path / "net.npz")["about"]))
    assert "my_delays.neuron.RisingThreshold" in json.dumps(about)
    assert len(re.findall(r'"rise": \[', json.dumps(about))) == 2


def test_nir_says_in_one_line_what_it_cannot_say(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(run), "--format", "nir", "-o", str(tmp_path / "net.nir")])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--format nir has no node for the equation of `RisingThreshold`; choose --format" in line
    assert not list(tmp_path.iterdir())


def test_inspect_shows_it(run, tmp_path, capsys):
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    main(["inspect", str(folder)])
    printed = capsys.readouterr().out
    assert "hidden1" in printed
    assert "firing rate" in printed
    figures = {path.name for path in (folder / "inspect").glob("*.png")}
    assert figures == {"learning.png", "delays.png", "confusion.png", "sample.png"}


def test_a_stranger_who_did_not_allow_it_gets_one_line(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    command = [sys.executable, "-m", "lit_delays", "export", str(copy), "-o", str(tmp_path / "net")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "may not be imported; give --allow-import" in line
    command.append("--allow-import=my_delays")
    assert subprocess.run(command, env=ENVIRONMENT, capture_output=True).returncode == 0


def test_the_kernel_has_the_slope_that_it_says():
    from my_delays.kernel import RaisedCosine

    weight = torch.randn(2, 3, 1, dtype=torch.float64, requires_grad=True)
    delay = (8 * torch.rand(2, 3, 1, dtype=torch.float64)).requires_grad_()
    settings = torch.tensor(2.0, dtype=torch.float64), 9, RaisedCosine()
    with use(soft_kernel="plain"):
        plain = soft_kernel(weight, delay, *settings)
    fast, grad = soft_kernel(weight, delay, *settings), torch.randn_like(plain)
    pairs = (torch.autograd.grad(kernel, (weight, delay), grad) for kernel in (fast, plain))
    for mine, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_data_set_from_outside_says_what_is_wrong_in_one_line(tmp_path):
    from functools import partial

    from my_delays.dataset import NpzSensors

    with pytest.raises(lit_delays.InputError, match=r"check `--data\.dataset\.folder`"):
        SpikeData(partial(NpzSensors, folder=str(tmp_path)))
