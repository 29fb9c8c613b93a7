"""A network comes back from its checkpoint, or one sentence says why not."""

import re
from functools import partial

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import Network, NetworkConfig
from lit_delays.snn.neurons import PLIF
from lit_delays.training.loading import load_network

CONFIG = NetworkConfig(
    num_inputs=4, num_classes=2, hidden_sizes=[3, 5], neuron=partial(PLIF, tau_mem_ms=30.0)
)
INTERFACE = Interface(class_names=("no", "yes"), num_units=8, channels_per_bin=2, clip_ms=500.0)


def saved(path, config=CONFIG.plain, dtype=torch.float32, **changes):
    """A checkpoint with a few things changed."""
    tensors = {f"network.{name}": tensor for name, tensor in Network(CONFIG).to(dtype).state_dict().items()}
    checkpoint = {
        "epoch": 6,
        "state_dict": tensors,
        "hyper_parameters": {"network": config, "optimizer": {}},
        "interface": INTERFACE.plain,
    }
    torch.save(checkpoint | changes, path / "x.ckpt")
    return path / "x.ckpt"


def changed(**options):
    return {**CONFIG.plain, **options}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_network_comes_back_with_its_interface_and_epoch(dtype, tmp_path):
    path = saved(tmp_path, dtype=dtype)
    network, epoch = load_network(path)
    assert (network.config, network.interface, epoch, network.training) == (CONFIG, INTERFACE, 7, False)
    assert network.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    for name, tensor in torch.load(path, weights_only=True)["state_dict"].items():
        assert torch.equal(network.state_dict()[name.removeprefix("network.")].to(dtype), tensor)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"hyper_parameters": {}}, " is no checkpoint of lit_delays; give one that `fit` has written"),
        ({"hyper_parameters": [1]}, " is no checkpoint of lit_delays; give one that `fit` has written"),
        ({"state_dict": {}}, " is no checkpoint of lit_delays; give one that `fit` has written"),
        ({"config": {"num_inputs": 4}}, ": these are not the options of a network: 'layers'."),
        ({"config": changed(hidden_sizes="wide")}, ": these are not the options of a network:"),
        ({"config": changed(dropout=2)}, ": `dropout` must be in [0, 1), got 2."),
        (
            {"config": changed(neuron={"class_path": "os.system"})},
            "`os.system` is no Neuron of lit_delays and may",
        ),
        (
            {"config": changed(neuron={"class_path": "LIF", "init_args": {"tau_mem_ms": "long"}})},
            ": its options make no network (",
        ),
        (
            {"config": changed(hidden_sizes=[3, 6])},
            " does not fit its own options: the shape of `layers.1.synapses.weight` is (5, 3, 1)",
        ),
        ({"interface": {"class_names": ["a"]}}, ": `class_names` must name 2 classes, got 1."),
        ({"interface": 3}, ": an interface must have binning,"),
        (
            {"config": {"hidden_size": 256, "max_delay_ms": 250}},
            " is of an older version of lit_delays; train again, or use that version.",
        ),
    ],
)
def test_what_holds_no_network_is_one_sentence(content, sentence, tmp_path):
    path = saved(tmp_path, **content)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}.*{re.escape(sentence)}"):
        load_network(path)


def test_a_mistake_of_ours_is_not_called_a_damaged_checkpoint(tmp_path, monkeypatch):
    path = saved(tmp_path)
    monkeypatch.setattr(Network, "load_state_dict", lambda *_: [].pop())
    with pytest.raises(IndexError):
        load_network(path)
