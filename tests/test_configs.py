"""Every file under configs/ is read by the real command line, and is the network that its first lines say."""

import pytest
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from lit_delays.lightning_cli import DelayCLI

from .conftest import ROOT

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def test_all_configs_are_here():
    names = ["quickstart", "shd", "spoken_digits", "ssc", "ssc_2kc", "wandb"]
    assert [path.stem for path in CONFIGS] == names


@pytest.fixture(scope="session")
def parser() -> LightningArgumentParser:
    class Parsed(DelayCLI):
        def parse_arguments(self, parser, args):
            raise StopIteration(self._parser("fit"))

    with pytest.raises(StopIteration) as made:
        Parsed("fit", [])
    return made.value.value


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_parses(path, parser):
    config = parser.parse_args(["--config", str(path)])
    assert config.seed_everything == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_what_it_is_for(path):
    assert path.read_text().startswith("# ")
    assert set(yaml.safe_load(path.read_text())) <= {"data", "model", "sigma", "trainer"}


def test_the_defaults_are_the_papers_network_for_shd(parser):
    plain, shd = (
        parser.parse_args(["--config", str(ROOT / f"configs/{name}.yaml")]) for name in ("wandb", "shd")
    )
    assert plain.model.as_dict() == shd.model.as_dict()
    assert plain.data.as_dict() == shd.data.as_dict()
    assert plain.trainer.max_epochs == shd.trainer.max_epochs == 150
