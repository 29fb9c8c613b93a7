"""The configs of neurons are networks that run, alone or on the paper's recipe."""

import pytest
import torch

from lit_delays.cli.main import main
from lit_delays.cli.options import read
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import TwoStateNeuron

from .conftest import ROOT
from .test_cli import QUICK, TINY, mistake

FOLDER = ROOT / "configs" / "neurons"
OVERLAYS = ["lif", "cadlif", "se_adlif", "silif"]
WHOLE = [path.stem for path in sorted(FOLDER.glob("*_*.yaml")) if path.stem not in OVERLAYS]
PUBLISHED = {  # hidden sizes, recurrent, step in ms
    "shd_se_adlif": ([360, 360], True, 4),
    "ssc_se_adlif": ([720, 720], True, 4),
    "shd_csilif": ([128, 128], False, 4),
    "ssc_csilif": ([512, 512], False, 4),
    "shd_cadlif": ([512, 512], False, 4),
    "ssc_cadlif": ([512, 512], False, 4),
    "shd_silif": ([512, 512], False, 4),
}


def built(*names: str) -> tuple[Network, dict]:
    config = read([f"--config={ROOT / 'configs' / name}.yaml" for name in names])
    network = config["model"]["network"] | {"time_step_ms": config["data"]["time_step_ms"]}
    torch.manual_seed(0)
    return Network(NetworkConfig.of(network)), config


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_a_network_with_delays_on_the_papers_recipe(name: str) -> None:
    network, _ = built("shd", f"neurons/{name}")
    assert network.learns_delays
    assert isinstance(network.layers[0].neuron, TwoStateNeuron) == (name != "lif")
    assert network(torch.rand(10, 2, 140)).isfinite().all()


def test_every_whole_config_is_a_published_one() -> None:
    assert sorted(WHOLE) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_whole_config_is_the_published_network(name: str) -> None:
    network, config = built(f"neurons/{name}")
    sizes, recurrent, step_ms = PUBLISHED[name]
    assert list(network.config.hidden_sizes) == sizes
    assert config["data"]["time_step_ms"] == step_ms
    assert not network.learns_delays
    assert all((layer.recurrent is not None) == recurrent for layer in network.layers)
    spikes = network.layers[0](4 * torch.rand(8, 2, 140))
    assert spikes.isfinite().all()


WRONG = {
    "`tau_mem_ms` must be at least one time step (10 ms), got [4.0, 100.0]; raise its lower end, or take"
    " shorter steps.": ["CAdLIF"],
    "`tau_adapt_ms` must be a range from its lower to its upper end, got [300.0, 200.0].": [
        "SEAdLIF",
        "--model.network.neuron.tau_adapt_ms=[300, 200]",
    ],
    "`a` must be a range from its lower to its upper end, got [1.0, 0.0].": [
        "SEAdLIF",
        "--model.network.neuron.a=[1, 0]",
    ],
    "`q` must be above 0, got -1.": ["EFAdLIF", "--model.network.neuron.q=-1"],
    "`tau_mem_ms` must be at least one time step (10 ms), got 9.": [
        "SoftResetLIF",
        "--model.network.neuron.tau_mem_ms=9",
    ],
}


@pytest.mark.parametrize(("sentence", "words"), WRONG.items())
def test_a_neuron_that_cannot_be_is_one_line(sentence, words, tmp_path, capsys):
    root = ["--trainer.default_root_dir", str(tmp_path / "runs")]
    assert mistake(capsys, "fit", *QUICK, *root, "--model.network.neuron", *words) == sentence
    assert not (tmp_path / "runs").exists()


def test_an_export_that_cannot_say_the_neuron_is_one_line(tmp_path, capsys):
    root = ["--trainer.default_root_dir", str(tmp_path / "runs"), "--name", "run"]
    main(["fit", *QUICK, *TINY, *root, "--model.network.neuron", "SEAdLIF", "--trainer.max_epochs", "1"])
    capsys.readouterr()
    nir = ["--format", "nir"]
    line = mistake(capsys, "export", str(tmp_path / "runs/run"), "-o", str(tmp_path / "net.nir"), *nir)
    assert line == (
        "--format nir has no node for the equation of `SEAdLIF`; choose --format safetensors or torch."
    )
    assert not (tmp_path / "net.nir").exists()
