"""A network comes back from its checkpoint, or one sentence says why not."""

import re
import subprocess
import sys
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from lit_delays.cli.main import main
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import PLIF
from lit_delays.training.fine_tuning import start_from
from lit_delays.training.loading import load_network

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"

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


def tensors(**changes):
    """Those of the network, a few of them changed."""
    return {"state_dict": {f"network.{name}": tensor for name, tensor in _state(changes).items()}}


def _state(changes):
    return Network(CONFIG).state_dict() | {name.replace("__", "."): value for name, value in changes.items()}


def delays(**options):
    return {"class_path": "SynapticDelays", "init_args": options}


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
        (
            {"config": changed(hidden_sizes=[20_000, 20_000])},  # 3.4 GB, from 21 kB
            ": does not fit its own options: the shape of `layers.0.synapses.weight` is (3, 4, 1) there and"
            " (20000, 4, 1) here; give another one.",
        ),
        (
            {"config": changed(num_inputs=2**31, num_classes=2**31)},
            ": does not fit its own options: the shape of `layers.0.synapses.weight` is (3, 4, 1) there",
        ),
        (
            {"config": changed(hidden_sizes=[1] * 10**6)},  # whose making would take a day
            ": `hidden_sizes` must be at most 1000 numbers, got [1, 1, 1,",
        ),
        (
            {"config": changed(hidden_sizes=[1] * 1000)},
            ": `hidden_sizes` must be those of its 2 hidden layers, got 1000.",
        ),
        (
            {"config": changed(layers=[None] * 3)},
            ": these are not the options of a network: `layers` has more entries than `hidden_sizes`.",
        ),
        (
            {"config": changed(num_inputs=4.0)},
            ": `num_inputs` must be a whole number in [1, 2147483648], got 4.0.",
        ),
        (
            {"config": changed(hidden_sizes=[3, 5.0])},
            ": `hidden_sizes` must be whole numbers of at most 2147483648",
        ),
        (
            {"config": changed(time_step_ms=10**400)},
            ": these are not the options of a network: a number is above 2^63.",
        ),
        (
            {"config": changed(synapses=delays(max_delay_ms=1e9))},
            ": `max_delay_ms` must be at most 32768 time steps of 10 ms, got 1e+09.",
        ),
        (
            tensors(layers__0__norm__running_var=torch.full((3,), torch.nan)),
            ": `layers.0.norm.running_var` must be",
        ),
        (
            tensors(readout__synapses__weight=torch.full((2, 5, 1), torch.inf)),
            ": `readout.synapses.weight` must be",
        ),
        (
            tensors(layers__0__norm__weight=torch.ones(3) * 1j),
            ": `layers.0.norm.weight` must be all numbers; the",
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


def test_a_kernel_that_takes_more_than_its_weights_do_is_refused(tmp_path):
    wide = replace(CONFIG, num_inputs=100, hidden_sizes=[100, 5])
    content = {f"network.{name}": tensor for name, tensor in Network(wide).state_dict().items()}
    config = wide.plain | {"synapses": delays(max_delay_ms=320_000.0)}
    path = saved(tmp_path, config=config, state_dict=content)
    sentence = "hidden1 must have at most 268,435,456 pairs of neurons times lags, got 320,010,000;"
    with pytest.raises(InputError, match=re.escape(sentence)):
        load_network(path)


def test_sizes_are_not_believed_before_the_tensors_are_seen(tmp_path):
    path = saved(tmp_path, config=changed(hidden_sizes=[20_000, 20_000]))
    code = (
        "import resource, sys; from pathlib import Path; from lit_delays.errors import InputError;"
        "from lit_delays.training.loading import load_network;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load_network(Path(sys.argv[1]))\n"
        "except InputError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 200_000  # kB


@pytest.mark.parametrize("command", ["test", "validate", "fit"])
def test_no_command_believes_the_sizes_of_a_checkpoint(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, config=changed(hidden_sizes=[20_000, 20_000]))
    with pytest.raises(SystemExit) as stopped:
        main([command, f"--config={QUICKSTART}", f"--ckpt_path={path}"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(
        f"lit_delays: error: {path}: does not fit its own options: the shape of `layers.0.syn"
    )


def test_a_network_does_not_start_from_what_is_no_number(tmp_path):
    path = saved(tmp_path, **tensors(layers__0__norm__bias=torch.full((3,), torch.nan)))
    with pytest.raises(
        InputError, match=r"^`layers\.0\.norm\.bias` must be all numbers; the training diverged"
    ):
        start_from(Network(CONFIG), path)


WRONG = (None, True, -1, 1.5, float("nan"), 10**400, "x", [], [1], {}, [[]], {"class_path": "LIF"})


def fields(value, path=()):
    """Where there is a value in plain values, the outermost ones first."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from fields(item, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    changed = copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


def test_any_field_may_be_wrong(tmp_path):
    """Whatever stands in a field, a network comes back or one line says why not."""
    content = {
        "config": CONFIG.plain,
        "interface": INTERFACE.plain,
        "epoch": 6,
        "global_step": 1,
        "loops": {},
    }
    lines = []
    for path in list(fields(content))[1:]:
        for wrong in WRONG:
            try:
                load_network(saved(tmp_path, **replaced(content, path, wrong)))
            except InputError as error:
                lines.append(str(error))
    assert not any("\n" in line or len(line) > 600 for line in lines)
    assert len(lines) > 200


def test_a_mistake_of_ours_is_not_called_a_damaged_checkpoint(tmp_path, monkeypatch):
    path = saved(tmp_path)
    monkeypatch.setattr(Network, "load_state_dict", lambda *_: [].pop())
    with pytest.raises(IndexError):
        load_network(path)
