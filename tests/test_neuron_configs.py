"""The configs of neurons are networks that run, alone or on the paper's recipe."""

import pytest
import torch

from lit_delays.cli.options import read
from lit_delays.snn.network import Network, NetworkConfig
from lit_delays.snn.neurons import TwoStateNeuron

from .conftest import ROOT

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
