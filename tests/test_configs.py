"""Every file under configs/ is read by the real command line, and is the network that its first lines say."""

import pytest
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from lit_delays.cli.options import fit_parser, read
from lit_delays.inspect.summary import count_parameters
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig

from .conftest import ROOT

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def test_all_configs_are_here():
    names = ["gsc", "quickstart", "shd", "spoken_digits", "ssc", "ssc_2kc", "wandb"]
    assert [path.stem for path in CONFIGS if path.parent.name == "configs"] == names


@pytest.fixture(scope="session")
def parser() -> LightningArgumentParser:
    return fit_parser()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_parses(path, parser):
    config = parser.parse_args(["--config", str(path)])
    assert config.seed_everything == 0
    linked = {"time_step_ms": config.data.time_step_ms}
    Network(NetworkConfig.of(config.as_dict()["model"]["network"] | linked))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_what_it_is_for(path):
    assert path.read_text().startswith("# ")
    assert set(yaml.safe_load(path.read_text())) <= {"data", "model", "sigma", "trainer"}


def test_the_defaults_are_the_papers_network_for_shd():
    plain, shd = (read(["--config", str(ROOT / f"configs/{name}.yaml")]) for name in ("wandb", "shd"))
    plain["model"]["network"]["padding"] = "paper"  # where a sample's answer depends on its batch
    assert plain["model"] == shd["model"]
    assert plain["data"] == shd["data"]
    assert plain["trainer"]["max_epochs"] == shd["trainer"]["max_epochs"] == 150


MATCHED = ["no_delays_wide", "no_delays_deep", "sparse/no_delays_wide", "sparse/no_delays_deep"]


@pytest.mark.parametrize("name", MATCHED)
def test_a_net_without_delays_is_matched_in_parameters(name):
    overlays = ["decreasing_sigma", name]
    base = ["--config", str(ROOT / "configs/shd.yaml")]
    fan_in = ["--model.network.synapses.fan_in=10"] if name.startswith("sparse") else []
    learned, none = (
        count_parameters(Network(NetworkConfig.of(read(words)["model"]["network"])))
        for words in (
            [*base, f"--config={ROOT}/configs/models/{overlay}.yaml", *fan_in] for overlay in overlays
        )
    )
    text = (ROOT / f"configs/models/{name}.yaml").read_text()
    assert f"{none:,}" in text.splitlines()[0]
    assert f"{learned:,}" in text.splitlines()[0]
    assert none == pytest.approx(learned, rel=0.003)
