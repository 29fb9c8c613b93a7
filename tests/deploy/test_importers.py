"""What other programs make of our files: the table of docs/export.md, where they are installed."""

import re
from functools import partial

import nir
import numpy as np
import pytest
import torch

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.formats import nir_graph
from lit_delays.snn.neurons import LIF

from ..conftest import ROOT
from . import conftest
from .conftest import delays, signals, train_a_little

pytestmark = pytest.mark.filterwarnings("ignore")  # they are other people's
NO_DELAYS = {"neuron": partial(LIF, tau_mem_ms=30.0), **delays(delays="none")}


@pytest.fixture(scope="module")
def network():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(conftest.KINDS, "no delays, slow", NO_DELAYS)
        return deploy(train_a_little("no delays, slow"))


def spikes(network, counts):
    return {name: output[:, 0] for name, output in signals(network, counts[:, :1].float()).items()}


def adapted(program, graph):
    """The graph after the lines that the page shows for a program."""
    page = (ROOT / "docs" / "export.md").read_text()
    (block,) = [
        found for found in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def fold_r" in found
    ]
    names = {}
    exec(block, names)
    return {"snntorch": names["for_snntorch"], "norse": names["fold_r"]}[program](graph)


def record(module, counts):
    """What the modules named like our layers give, step by step, and the last output."""
    made, state = {"hidden1": [], "hidden2": [], "readout": []}, None
    for name, part in module.named_modules():
        if name in made:
            part.register_forward_hook(lambda part, _, output, name=name: made[name].append((part, output)))
    with torch.no_grad():
        for count in counts:
            _, state = module(count[None], state)
    return made


def first(output):
    return (output[0] if isinstance(output, tuple) else output).flatten().numpy()


def assert_same_spikes(made, expected):
    for name in ("hidden1", "hidden2"):
        assert np.array_equal(np.stack([first(output) for _, output in made[name]]), expected[name])
        assert expected[name].mean() > 0.05


@pytest.mark.parametrize("readout", ["li", "lif", "none"])
def test_the_readout_of_a_graph_read_back(readout, network, counts, tmp_path):
    nir_graph.save(network, tmp_path / "net.nir", readout)
    ran = nir_graph.run(nir.read(tmp_path / "net.nir"), counts[:, 0].numpy())
    expected = spikes(network, counts)["readout"]
    if readout == "none":  # the current, which an integrator of the same leak turns into the voltage
        voltage, output = np.zeros(10), []
        for current in ran["output"]:
            voltage = (1 - 1 / 3) * voltage + current
            output.append(voltage)
        ran["output"] = np.stack(output)
    np.testing.assert_allclose(ran["output"], expected, rtol=0, atol=1e-5)


def test_a_graph_without_its_readout_still_outlasts_the_clip(counts):
    network = train_a_little().double()
    graph, clip = nir_graph.to_nir(deploy(network), "none"), counts[:, 0].numpy()
    ran, whole = nir_graph.run(graph, clip), nir_graph.run(nir_graph.to_nir(deploy(network)), clip)
    assert ran.keys() == {"hidden1", "hidden2", "output"}
    for name in ("hidden1", "hidden2"):
        assert np.array_equal(ran[name], whole[name])


def test_a_readout_that_fires_keeps_its_threshold():
    graph = nir_graph.to_nir(train_a_little("spike count"), "lif")
    assert set(graph.nodes["readout"].v_threshold) == {2.0}
    assert set(nir_graph.to_nir(train_a_little(), "lif").nodes["readout"].v_threshold) == {1e9}


def test_the_gain_of_a_node_is_tau_over_dt(network):
    for name in ("hidden1", "readout"):
        node = nir_graph.to_nir(network, "lif").nodes[name]
        np.testing.assert_allclose(node.r, node.tau / 0.01)


def test_snntorch_makes_the_same_spikes(network, counts):
    pytest.importorskip("snntorch")
    from snntorch.import_nir import import_from_nir

    with pytest.raises(ValueError, match=r"Unknown node type .*LI"):
        import_from_nir(nir_graph.to_nir(network))
    made = record(
        import_from_nir(adapted("snntorch", nir_graph.to_nir(network, "lif"))), counts[:, 0].float()
    )
    expected = spikes(network, counts)
    assert_same_spikes(made, expected)
    part, _ = made["readout"][-1]
    np.testing.assert_allclose(part.mem.detach().flatten(), expected["readout"][-1], rtol=0, atol=1e-5)


def test_spikingjelly_makes_the_same_spikes(network, counts):
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    with pytest.raises(ValueError, match=r"Unknown node type .*LI"):
        import_from_nir(nir_graph.to_nir(network), dt=0.01)
    made = record(import_from_nir(nir_graph.to_nir(network, "lif"), dt=0.01), counts[:, 0].float())
    expected = spikes(network, counts)
    assert_same_spikes(made, expected)
    voltage = np.stack([output[1][0].flatten() for _, output in made["readout"]])
    np.testing.assert_allclose(voltage, expected["readout"], rtol=0, atol=1e-5)


def test_norse_makes_the_same_spikes_once_r_is_folded(network, counts):
    pytest.importorskip("norse")
    from norse.torch import from_nir

    assert "readout" not in dict(from_nir(nir_graph.to_nir(network), dt=0.01).named_children())  # in silence
    graph, expected = nir_graph.to_nir(network, "lif"), spikes(network, counts)
    wrong = record(from_nir(graph, dt=0.01, ignore_warnings=True), counts[:, 0].float())
    assert sum(map(first, (output for _, output in wrong["hidden1"]))).sum() < expected["hidden1"].sum() / 2
    made = record(from_nir(adapted("norse", graph), dt=0.01), counts[:, 0].float())
    assert_same_spikes(made, expected)
    voltage = np.stack([output[1].v.flatten() for _, output in made["readout"]])
    np.testing.assert_allclose(voltage, expected["readout"], rtol=0, atol=1e-5)


def test_nirtorch_runs_delays_of_ones_own(counts):
    """Nobody's importer knows `Delay`; nirtorch takes a module for it."""
    nirtorch = pytest.importorskip("nirtorch")
    network = deploy(train_a_little("same length, two synapses, few of them"))
    graph, clip = nir_graph.to_nir(network, "lif"), counts[:, 0].float()
    made = record(nirtorch.nir_to_torch(graph, NODES), clip)
    ran = nir_graph.run(graph, clip.numpy())
    for name in ("hidden1", "hidden2"):
        spikes_ = np.stack([first(output) for _, output in made[name]])
        assert np.array_equal(spikes_, ran[name])


class Delayed(torch.nn.Module):
    def __init__(self, node):
        super().__init__()
        self.steps = round(float(node.delay[0]) / 0.01)

    def forward(self, x, state=None):
        line = [torch.zeros_like(x)] * self.steps if state is None else state
        return line[0], [*line[1:], x]


class Fired(torch.nn.Module):
    def __init__(self, node):
        super().__init__()
        self.leak, self.threshold = torch.tensor(0.01 / node.tau), torch.tensor(node.v_threshold)

    def forward(self, x, state=None):
        voltage = x if state is None else (1 - self.leak) * state + x
        out = (voltage >= self.threshold).float()
        return out, voltage * (1 - out)


def linear(node):
    made = torch.nn.Linear(*reversed(node.weight.shape), bias=hasattr(node, "bias"))
    made.weight.data = torch.tensor(node.weight)
    if hasattr(node, "bias"):
        made.bias.data = torch.tensor(node.bias)
    return made


NODES = {nir.Delay: Delayed, nir.LIF: Fired, nir.Linear: linear, nir.Affine: linear}
