"""Every format, run by something else than our network, gives our network's spikes."""

import json
import os
import re
import subprocess
import sys

import nir
import numpy as np
import pytest
import torch

from lit_delays.deployed import connections, folder, nir_graph, program
from lit_delays.deployed.network import deploy
from lit_delays.deployed.place import new_place
from lit_delays.errors import InputError

from ..conftest import ROOT
from .conftest import signals, train_a_little


@pytest.fixture(scope="module")
def small():
    return deploy(train_a_little(), class_names=tuple("abcdefghij"), channels_per_bin=5)


def test_a_folder_loads_back_to_the_same_network(small, tmp_path, counts):
    folder.save(small, tmp_path / "net", facts=("It was right.",))
    loaded = folder.load(tmp_path / "net")
    assert torch.equal(loaded.scores(counts.float()), small.scores(counts.float()))
    assert loaded.config == small.config
    assert (loaded.class_names, loaded.channels_per_bin) == (small.class_names, 5)
    assert loaded.layers[0].delay.dtype == torch.int16
    card = (tmp_path / "net" / "README.md").read_text()
    assert "It was right." in card
    assert "library_name: lit_delays" in card
    assert {path.name for path in (tmp_path / "net").iterdir()} == {
        "README.md", "config.json", "model.safetensors",
    }  # fmt: skip


def test_every_kind_of_network_loads_back(trained, tmp_path, counts):
    deployed = deploy(trained)
    folder.save(deployed, tmp_path / "net")
    assert torch.equal(folder.load(tmp_path / "net")(counts), deployed(counts))


def test_nir_read_back_gives_the_same_spikes(trained, tmp_path, counts):
    nir_graph.save(deploy(trained), tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    ran, batch = nir_graph.run(graph, counts[:, 0].numpy()), signals(trained, counts[:, :1])
    for name, expected in batch.items():
        np.testing.assert_allclose(ran[name][: len(expected)], expected[:, 0], rtol=0, atol=1e-12)
    assert np.array_equal(ran["output"], ran["readout"])


def test_nir_has_a_branch_for_every_distinct_delay_in_seconds(small):
    graph = nir_graph.to_nir(small)
    layer = small.layers[0]
    delays = set(layer.delay[layer.weight != 0].tolist())
    found = {
        round(float(node.delay[0]) * 1000)
        for name, node in graph.nodes.items()
        if name.startswith("hidden1_delay")
    }
    assert found == {10 * delay for delay in delays - {0}}
    assert graph.metadata["dt"] == 0.01
    about = json.loads(graph.metadata["about"])
    assert about["network"]["decision"] == "sum"
    assert graph.nodes["hidden1"].tau[0] == pytest.approx(small.config.tau_mem_ms / 1000)


def in_brian2(folder, counts):
    """What docs/export.md shows, in a process of its own: it needs NumPy and Brian2 alone."""
    python = os.environ.get("LIT_DELAYS_BRIAN2_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import brian2"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} cannot import brian2; $LIT_DELAYS_BRIAN2_PYTHON names one that can")
    text = (ROOT / "docs" / "export.md").read_text()
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "brian2" in block]
    np.save(folder / "counts.npy", counts)
    end = "np.savez('ran.npz', **run_in_brian2('net.npz', np.load('counts.npy')))"
    subprocess.run([python, "-c", block + end], check=True, cwd=folder, capture_output=True)
    return np.load(folder / "ran.npz")


@pytest.mark.parametrize("kind", [{}, {"keep_length": True, "fan_in": 9, "num_synapses": 2}])
def test_brian2_makes_the_same_spikes_from_the_table(kind, tmp_path, counts):
    network = train_a_little(**kind).double()
    connections.save(deploy(network), tmp_path / "net.npz")
    ran = in_brian2(tmp_path, counts[:, 0].numpy())
    for name, expected in signals(network, counts[:, :1]).items():
        np.testing.assert_allclose(ran[name][: len(expected)], expected[:, 0], rtol=0, atol=1e-12)


def test_a_table_has_every_synapse_once(small):
    table = connections.tables(small)
    for name, layer in small.named_layers().items():
        dense = np.zeros((*layer.weight.shape[:2], layer.max_delay), np.float32)
        pre, post, weight, delay = (
            table[f"{name}/{column}"] for column in ("pre", "post", "weight", "delay")
        )
        np.add.at(dense, (post, pre, delay), weight)
        assert len(pre) == int((layer.weight != 0).sum())
        assert np.array_equal(dense.sum(axis=-1), layer.weight.sum(dim=-1).numpy())


@pytest.mark.parametrize("kind", [{}, {"neuron": "heaviside", "synapse_tau_ms": 20.0}, {"neuron": "relu"}])
def test_the_unrolled_network_gives_the_same_scores(kind, counts):
    deployed = deploy(train_a_little(**kind).double())
    unrolled = program.UnrolledSNN(deployed)(counts)
    torch.testing.assert_close(unrolled, deployed.scores(counts), rtol=0, atol=1e-10)


def test_a_program_takes_any_number_of_clips(tmp_path):
    deployed = deploy(train_a_little(keep_length=True, hidden_size=4, num_hidden_layers=1))
    program.save(deployed, tmp_path / "net.pt2", num_steps=2)
    loaded = torch.export.load(tmp_path / "net.pt2").module()
    for batch in (1, 5):
        counts = torch.ones(2, batch, 20)
        torch.testing.assert_close(loaded(counts), deployed.scores(counts))


def refused(sentence):
    return pytest.raises(InputError, match=re.escape(sentence))


@pytest.mark.parametrize("form", ["nir", "connections"])
@pytest.mark.parametrize(
    ("kind", "got"),
    [
        ({"neuron": "relu"}, "`neuron: relu`"),
        ({"neuron": "heaviside"}, "`neuron: heaviside`"),
        ({"synapse_tau_ms": 20.0}, "`synapse_tau_ms: 20`"),
    ],
)
def test_a_format_refuses_what_it_cannot_hold(form, kind, got, tmp_path):
    save = {"nir": nir_graph.save, "connections": connections.save}[form]
    with refused(
        f"--format {form} holds leaky integrate-and-fire neurons without synaptic filters, and this network"
        f" has {got}; choose --format safetensors or torch."
    ):
        save(deploy(train_a_little(**kind)), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_a_program_has_a_length(small, tmp_path):
    with refused("`--num-steps` must be at least 1, got 0."):
        program.save(small, tmp_path / "net.pt2", num_steps=0)


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def fail_half_way():
        with new_place(tmp_path / "net") as place:
            place.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert not list(tmp_path.iterdir())


def test_what_exists_is_not_overwritten(small, tmp_path):
    (tmp_path / "net").write_text("mine")
    with refused(f"{tmp_path / 'net'} exists; remove it, or give another --output."):
        folder.save(small, tmp_path / "net")
    assert (tmp_path / "net").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(small, tmp_path):
    with refused(
        f"cannot write {tmp_path / 'no' / 'net'}: No such file or directory; give another --output."
    ):
        folder.save(small, tmp_path / "no" / "net")


def damage(saved, name, change):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(change(config) if name == "config.json" else config))
    if name == "model.safetensors":
        content = (saved / name).read_bytes()
        (saved / name).write_bytes(change(content))


def network(**changes):
    return lambda config: config | {"network": config["network"] | changes}


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("config.json", lambda c: c | {"model_type": "x"}, "config.json is not of a network of lit_delays."),
        ("config.json", lambda c: c | {"format": 2}, "has format 2, this version of lit_delays reads 1;"),
        ("config.json", network(new=1), "is not whole; export it anew."),
        ("config.json", network(hidden_size=10**9), "is not whole; export it anew."),
        ("config.json", network(hidden_size=0), "`hidden_size` must be at least 1, got 0."),
        (
            "config.json",
            network(max_delay_ms=30),
            "the delays of hidden1 must be in [0, 2] time steps, got 0",
        ),
        ("config.json", lambda c: c | {"class_names": ["a"]}, "`class_names` must name 10 classes, got 1."),
        ("model.safetensors", lambda content: content[:-10], "is not whole; export it anew."),
    ],
)
def test_a_damaged_folder_says_what_is_wrong(name, change, sentence, small, tmp_path):
    folder.save(small, tmp_path / "net")
    damage(tmp_path / "net", name, change)
    with refused(sentence):
        folder.load(tmp_path / "net")


def test_a_folder_of_something_else_is_named(tmp_path):
    with refused(f"{tmp_path} must be a folder that `export --format safetensors` wrote; config.json: "):
        folder.load(tmp_path)
