"""Every neuron with a memory streams as it runs in batches, and takes what it learned into every export."""

import json
from functools import cache, partial

import numpy as np
import pytest
import torch

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.formats import connections, nir_graph, safetensors_folder, torch_program
from lit_delays.deploy.stream import Stream
from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import (
    PLIF,
    AdLIF,
    CAdLIF,
    CSiLIF,
    EFAdLIF,
    SEAdLIF,
    SiLIF,
    SoftResetLIF,
    TwoStateNeuron,
)
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer

from .conftest import SIZES, patterns, recurrent, signals
from .test_formats import run_program

TAU = {"tau_mem_ms": (10.0, 100.0)}
NEURONS = {
    "AdLIF": partial(AdLIF, **TAU),
    "CAdLIF": partial(CAdLIF, **TAU),
    "SiLIF": partial(SiLIF, **TAU),
    "CSiLIF": partial(CSiLIF),
    "EFAdLIF": partial(EFAdLIF, a=(0.0, 0.2)),
    "SEAdLIF": partial(SEAdLIF),
    "PLIF": partial(PLIF, tau_mem_ms=30.0),
    "SoftResetLIF": partial(SoftResetLIF, tau_mem_ms=30.0),
}
RECURRENT = " with recurrent delays"
KINDS = [*NEURONS, *(f"{name}{RECURRENT}" for name in ("CAdLIF", "SEAdLIF", "CSiLIF", "SoftResetLIF"))]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_neuron = pytest.mark.parametrize("kind", NEURONS)


@cache
def trained(kind: str) -> Network:
    """A network after two steps of training, in double precision."""
    torch.manual_seed(0)
    name, _, loops = kind.partition(RECURRENT[:5])
    parts = {"neuron": NEURONS[name], **(recurrent() if loops else {})}
    network = Network(NetworkConfig(**SIZES | parts)).double().train()
    before = {key: value.clone() for key, value in network.layers[0].neuron.state_dict().items()}
    optimizer = make_optimizer(network, OptimizerConfig(weight_lr=0.05))
    for layer in network.layers:
        layer.norm.momentum = 0.7
        is_slow = isinstance(layer.neuron, TwoStateNeuron)
        layer.norm.bias.data.fill_(3.0 if is_slow else 1.0)  # so that all layers fire
    for batch in patterns(seed=0, num_batches=2, size=16):
        loss = torch.nn.functional.cross_entropy(network.scores(batch.counts(torch.float64)), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        network.constrain()
    after = network.layers[0].neuron.state_dict()
    assert any(not torch.equal(after[key], value) for key, value in before.items()) == bool(before)
    return network.eval().requires_grad_(False)


@each_kind
def test_a_stream_gives_every_spike_of_the_batch(kind, counts):
    stream, network = Stream(deploy(trained(kind))), deploy(trained(kind))
    for sample in range(2):  # one after another: a finished clip leaves nothing behind
        clip = counts[:, sample]
        batch = signals(network, clip[:, None])
        steps = [stream.step(count) for count in clip] + list(stream.finish())
        for index, name in enumerate(list(batch)[:-1]):
            spikes = torch.stack([step.outputs[index] for step in steps]).numpy()[: len(batch[name])]
            assert 0.002 < spikes.mean() < 0.98, name
            assert np.array_equal(spikes, batch[name][:, 0])


@each_kind
def test_a_folder_of_safetensors_loads_back_with_what_was_learned(kind, tmp_path, counts):
    network = deploy(trained(kind))
    safetensors_folder.save(network, tmp_path / "net")
    loaded = safetensors_folder.load(tmp_path / "net")
    for mine, theirs in zip(loaded.layers, network.layers, strict=True):
        times = theirs.neuron.learned_times_ms()
        assert mine.neuron.learned_times_ms().keys() == times.keys()
        for what, expected in times.items():
            torch.testing.assert_close(
                mine.neuron.learned_times_ms()[what], expected, rtol=1e-5, atol=0.0, check_dtype=False
            )
    spikes = [signals(it.double(), counts)["hidden1"] for it in (loaded, network.float())]
    assert np.mean(spikes[0] != spikes[1]) < 0.01  # stored in single precision


@each_neuron
def test_a_table_of_connections_has_what_was_learned(kind):
    network = trained(kind)
    about = json.loads(str(connections.tables(network)["about"]))["layers"][0]["neuron"]
    assert about["class_path"].endswith(kind)
    neuron = network.layers[0].neuron
    for name, value in neuron.named_parameters():
        if name != "leak_logit":
            np.testing.assert_allclose(about["constants"][name], value, rtol=1e-6)
    if kind == "PLIF":
        assert about["constants"]["leak"] == pytest.approx(neuron.leak_now)


@pytest.mark.parametrize("kind", ["SiLIF", "CSiLIF", "SEAdLIF with recurrent delays", "SoftResetLIF"])
def test_a_torch_program_gives_the_same_scores(kind, tmp_path, counts):
    network = deploy(trained(kind))
    torch_program.save(network, tmp_path / "net.pt2")
    scores = run_program(tmp_path / "net.pt2", counts[:12])
    torch.testing.assert_close(scores, network.scores(counts[:12]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", [name for name in NEURONS if name != "PLIF"])
def test_nir_says_in_one_line_which_neuron_it_cannot_say(kind, tmp_path):
    sentence = f"--format nir has no node for the equation of `{kind}`; choose --format safetensors or torch."
    with pytest.raises(InputError) as error:
        nir_graph.save(deploy(trained(kind)), tmp_path / "net.nir")
    assert str(error.value) == sentence
    assert not list(tmp_path.iterdir())


def test_nir_has_the_learned_time_constant_of_a_neuron_that_it_can_say():
    network = deploy(trained("PLIF"))
    node = nir_graph.to_nir(network).nodes["hidden1"]
    (learned,) = network.layers[0].neuron.learned_times_ms().values()
    np.testing.assert_allclose(node.tau, float(learned) / 1000, rtol=1e-6)
    assert float(learned) != pytest.approx(30.0, abs=0.01)
