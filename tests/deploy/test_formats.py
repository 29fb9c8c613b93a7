"""Every format, run by something else than our network, gives our network's spikes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nir
import numpy as np
import pytest
import safetensors.torch
import torch

from lit_delays.deploy.deploy import deploy, whole
from lit_delays.deploy.formats import connections, nir_graph, safetensors_folder, torch_program
from lit_delays.deploy.output_path import new_output
from lit_delays.errors import InputError
from lit_delays.interface import Interface
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF

from ..conftest import ROOT
from .conftest import delays, signals, train_a_little


@pytest.fixture(scope="module")
def small():
    network = deploy(train_a_little())
    network.interface = Interface(
        class_names=tuple("abcdefghij"), num_units=98, channels_per_bin=5, binning="paper", clip_ms=400.0
    )
    return network


def test_a_folder_loads_back_to_the_same_network(small, tmp_path, counts):
    safetensors_folder.save(small, tmp_path / "net", facts=("It was right.",))
    loaded = safetensors_folder.load(tmp_path / "net")
    assert torch.equal(loaded.scores(counts.float()), small.scores(counts.float()))
    assert (loaded.config, loaded.interface) == (small.config, small.interface)
    assert whole(loaded)["hidden1"].delay.dtype == torch.int16
    card = (tmp_path / "net" / "README.md").read_text()
    assert "It was right." in card
    assert "library_name: lit_delays" in card
    assert {path.name for path in (tmp_path / "net").iterdir()} == {
        "README.md", "config.json", "model.safetensors",
    }  # fmt: skip


def test_the_card_says_what_somebody_needs_who_writes_it_anew(small, tmp_path):
    safetensors_folder.save(small, tmp_path / "net", license_="cc-by-4.0")
    card = (tmp_path / "net" / "README.md").read_text()
    assert "\nlicense: cc-by-4.0\n" in card
    assert "- `LIF`: hidden1 (leak = 0.995024876, v_threshold = 1), hidden2 (" in card
    assert "It spikes where h[t] >= v_threshold, at it too" in card
    assert r"s[t] = \Theta(h[t] - \vartheta), \qquad v[t] = h[t]\,(1 - s[t])$$" in card
    assert (
        "An event of channel c (of 98) adds 1 to input c // 5, in the time step that starts at the first"
        " event after the step before, and takes 10 ms with both edges. What is later than 400 ms after the"
    ) in card
    safetensors_folder.save(deploy(train_a_little("neurons from outside")), tmp_path / "other")
    card = (tmp_path / "other" / "README.md").read_text()
    assert "\nlicense: unknown\n" in card
    assert "- `Tired`: hidden1, hidden2." in card
    assert "What the inputs are is not known here." in card


@pytest.mark.parametrize("name", ["", "a b", "mit\nx: y"])
def test_a_license_is_a_name(name, small, tmp_path):
    with refused(f"`--license` must be a name such as mit or cc-by-4.0, got {name!r}."):
        safetensors_folder.save(small, tmp_path / "net", license_=name)


def test_every_kind_of_network_loads_back(every_kind, tmp_path, counts):
    deployed = deploy(every_kind)
    safetensors_folder.save(deployed, tmp_path / "net")
    loaded = safetensors_folder.load(tmp_path / "net")
    assert torch.equal(loaded(counts), deployed(counts))
    again = signals(loaded, counts)
    assert all(np.array_equal(again[name], output) for name, output in signals(deployed, counts).items())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_nir_read_back_gives_the_same_spikes(trained, tmp_path, counts):
    nir_graph.save(deploy(trained), tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")
    ran, batch = nir_graph.run(graph, counts[:, 0].numpy()), signals(trained, counts[:, :1])
    for name, expected in batch.items():
        np.testing.assert_allclose(ran[name][: len(expected)], expected[:, 0], rtol=0, atol=1e-12)
    assert np.array_equal(ran["output"], ran["readout"])


def test_nir_has_a_branch_for_every_distinct_delay_in_seconds(small):
    graph = nir_graph.to_nir(small)
    synapses = whole(small)["hidden1"]
    delays = set(synapses.delay[synapses.weight != 0].tolist())
    found = {
        round(float(node.delay[0]) * 1000)
        for name, node in graph.nodes.items()
        if name.startswith("hidden1_delay")
    }
    assert found == {10 * delay for delay in delays - {0}}
    assert graph.metadata["dt"] == 0.01
    about = json.loads(graph.metadata["about"])
    assert about["network"]["decision"] == "sum"
    assert graph.nodes["hidden1"].tau[0] == pytest.approx(small.layers[0].neuron.tau_mem_ms / 1000)


class TwoLeaks(LIF):
    """Neurons that leak differently, which a node of NIR can say."""

    def nir(self, time_step_s):
        kind, parameters = super().nir(time_step_s)
        factor = 1 + torch.arange(self.num_neurons, dtype=torch.float64) % 2
        return kind, parameters | {name: factor * parameters[name] for name in ("tau", "r")}


def test_the_reference_of_nir_runs_neurons_that_differ():
    config = NetworkConfig(
        num_inputs=1, num_classes=2, hidden_sizes=[2], neuron=TwoLeaks, **delays(delays="none")
    )
    network = deploy(Network(config).double())
    synapses = network.layers[0].synapses
    synapses.weight.fill_(0.6)
    synapses.bias.fill_(0)
    ran = nir_graph.run(nir_graph.to_nir(network), np.ones((3, 1)))
    assert ran["hidden1"].tolist() == [[0, 0], [0, 0], [0, 1]]  # which leaks less: 0.6, 0.9, 1.05


def in_brian2(folder, counts):
    """What docs/export.md shows, in a process of its own: it needs NumPy and Brian2 alone."""
    own = Path(sys.prefix, "brian2", "bin", "python")  # which `make test` makes
    python = os.environ.get("LIT_DELAYS_BRIAN2_PYTHON", str(own) if own.exists() else sys.executable)
    if subprocess.run([python, "-c", "import brian2"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} cannot import brian2; $LIT_DELAYS_BRIAN2_PYTHON names one that can")
    text = (ROOT / "docs" / "export.md").read_text()
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "brian2" in block]
    np.save(folder / "counts.npy", counts)
    end = "np.savez('ran.npz', **run_in_brian2('net.npz', np.load('counts.npy')))"
    subprocess.run([python, "-c", block + end], check=True, cwd=folder, capture_output=True)
    return np.load(folder / "ran.npz")


@pytest.mark.parametrize(
    "kind",
    [
        "paper",
        "same length, two synapses, few of them",
        "recurrent, axonal delays",
        "recurrent, hybrid delays, in one layer",
        "soft reset, recurrent",
        "axonal and dendritic delays",
    ],
)
def test_brian2_makes_the_same_spikes_from_the_table(kind, tmp_path, counts):
    network = train_a_little(kind).double()
    connections.save(deploy(network), tmp_path / "net.npz")
    ran = in_brian2(tmp_path, counts[:, 0].numpy())
    for name, expected in signals(network, counts[:, :1]).items():
        np.testing.assert_allclose(ran[name][: len(expected)], expected[:, 0], rtol=0, atol=1e-12)


def test_a_table_has_every_synapse_once(small):
    table = connections.tables(small)
    for name, synapses in whole(small).items():
        dense = np.zeros((*synapses.weight.shape[:2], synapses.num_lags), np.float32)
        pre, post, weight, delay = (
            table[f"{name}/{column}"] for column in ("pre", "post", "weight", "delay")
        )
        np.add.at(dense, (post, pre, delay), weight)
        assert len(pre) == int((synapses.weight != 0).sum())
        assert np.array_equal(dense.sum(axis=-1), synapses.weight.sum(dim=-1).numpy())


def test_a_table_says_what_its_neurons_are():
    layers = json.loads(str(connections.tables(train_a_little("neurons from outside"))["about"]))["layers"]
    hidden, readout = layers[0]["neuron"], layers[-1]["neuron"]
    assert hidden["class_path"].endswith("foreign.Tired")
    assert hidden["init_args"] == {"tau_mem_ms": 20.0, "start": 0.3}
    assert len(hidden["constants"]["fatigue"]) == 24
    assert readout["class_path"].endswith("LeakyIntegrator")
    assert readout["constants"] == {"leak": 0.5, "v_threshold": None}


def run_program(path, counts):
    """The function that docs/export.md shows."""
    text = (ROOT / "docs" / "export.md").read_text()
    (block,) = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "run_program" in block
    ]
    names = {}
    exec(block, names)
    return names["run_program"](path, counts)


@pytest.mark.parametrize(
    "kind",
    [
        "paper",
        "maximum",
        "mean",
        "layers that differ",
        "heaviside, synaptic filter",
        "relu",
        "neurons and synapses from outside",
    ],
)
def test_a_program_gives_the_same_scores_whatever_the_length_the_batch_and_the_numbers(
    kind, tmp_path, counts
):
    deployed = deploy(train_a_little(kind).double())
    torch_program.save(deployed, tmp_path / "net.pt2")
    for clip in (counts, counts[:7, :1].float(), counts.int(), counts[:9].to(torch.uint8), counts > 0):
        scores = run_program(tmp_path / "net.pt2", clip)
        torch.testing.assert_close(scores, deployed.scores(clip.double()), rtol=0, atol=1e-10)


class Restless(LIF):
    """Neurons that start from a voltage of their own."""

    def initial_state(self, current):
        return {"v_mem": torch.full_like(current, 0.7)}


def test_a_program_starts_from_rest_wherever_that_is(tmp_path, counts):
    config = NetworkConfig(num_inputs=20, num_classes=10, hidden_sizes=[8], neuron=Restless)
    deployed = deploy(Network(config).double())
    torch_program.save(deployed, tmp_path / "net.pt2")
    scores = run_program(tmp_path / "net.pt2", counts)
    torch.testing.assert_close(scores, deployed.scores(counts), rtol=0, atol=1e-10)


def test_clips_of_several_lengths_share_a_batch(counts):
    deployed = deploy(train_a_little().double())
    step, ends = torch_program.OneStep(deployed), torch.tensor([5, 9, len(counts)])
    state = step.zeros(3)
    for at in range(len(counts) + step.extra_steps[-1]):
        after_end = (at + 1 - ends).clamp(min=0)
        now = counts[min(at, len(counts) - 1)] * (after_end == 0).unsqueeze(-1)
        scores, state = step(now, after_end, state)
    for sample, end in enumerate(ends):
        alone = deployed.scores(counts[:end, sample : sample + 1])
        torch.testing.assert_close(scores[sample : sample + 1], alone, rtol=0, atol=1e-10)


@pytest.mark.filterwarnings("ignore")  # torch.onnx and onnxscript deprecate much
def test_onnx_of_a_program_runs_in_onnxruntime(tmp_path, counts):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    deployed = deploy(train_a_little("layers that differ"))
    program = torch_program.to_program(deployed)
    torch.onnx.export(program, dynamo=True, verbose=False).save(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    step, clip = torch_program.OneStep(deployed), counts.float()
    for batch in (1, 3):
        fed = [value.numpy() for value in step.zeros(batch).values()]
        for at in range(len(clip) + step.extra_steps[-1]):
            now = clip[min(at, len(clip) - 1), :batch].numpy() * (at < len(clip))
            after_end = np.full(batch, max(0, at + 1 - len(clip)))
            names = [each.name for each in session.get_inputs()]
            scores, *fed = session.run(None, dict(zip(names, [now, after_end, *fed], strict=True)))
        expected = deployed.scores(clip[:, :batch])
        torch.testing.assert_close(torch.from_numpy(scores), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["paper", "layers that differ"])
def test_a_network_itself_goes_through_export_and_func(kind, counts):
    network, clip = train_a_little(kind).double(), counts[:8]
    batch = {1: torch.export.Dim("batch", min=1)}
    program = torch.export.export(network, (clip,), dynamic_shapes=(batch,)).module()
    torch.testing.assert_close(program(clip[:, :2]), network(clip[:, :2]), rtol=0, atol=1e-12)
    one_by_one = torch.func.vmap(lambda sample: network(sample[:, None])[:, 0], in_dims=1, out_dims=1)
    torch.testing.assert_close(one_by_one(clip), network(clip), rtol=0, atol=1e-12)
    called = torch.func.functional_call(network, dict(network.named_parameters()), (clip,))
    torch.testing.assert_close(called, network(clip), rtol=0, atol=1e-12)


def refused(sentence):
    return pytest.raises(InputError, match=re.escape(sentence))


@pytest.mark.parametrize("form", ["nir", "connections"])
def test_a_synaptic_filter_is_refused_where_there_is_no_place_for_it(form, tmp_path):
    save = {"nir": nir_graph.save, "connections": connections.save}[form]
    with refused(
        f"--format {form} has no place for a synaptic filter, and this network has one (`synapse_tau_ms:"
        " 20`); choose --format safetensors or torch."
    ):
        save(deploy(train_a_little("synaptic filter")), tmp_path / "net")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "name"), [("relu", "ReLU"), ("heaviside", "Heaviside"), ("neurons from outside", "Tired")]
)
def test_nir_refuses_neurons_that_it_has_no_node_for(kind, name, tmp_path):
    with refused(
        f"--format nir has no node for the equation of `{name}`; choose --format safetensors or torch."
    ):
        nir_graph.save(deploy(train_a_little(kind)), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def fail_half_way():
        with new_output(tmp_path / "net") as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert not list(tmp_path.iterdir())


def test_what_exists_is_not_overwritten(small, tmp_path):
    (tmp_path / "net").write_text("mine")
    with refused(f"{tmp_path / 'net'} exists; remove it, or give another --output."):
        safetensors_folder.save(small, tmp_path / "net")
    assert (tmp_path / "net").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(small, tmp_path):
    with refused(
        f"cannot write {tmp_path / 'no' / 'net'}: No such file or directory; give another --output."
    ):
        safetensors_folder.save(small, tmp_path / "no" / "net")


def damage(saved, name, change):
    content = (saved / name).read_bytes()
    changed = change(json.loads(content)) if name == "config.json" else change(content)
    (saved / name).write_bytes(json.dumps(changed).encode() if name == "config.json" else changed)


def network(**changes):
    return lambda config: config | {"network": config["network"] | changes}


def interface(**changes):
    return lambda config: config | {"interface": config["interface"] | changes}


def layer(**changes):
    return lambda config: config | {"layers": [config["layers"][0] | changes, *config["layers"][1:]]}


def neuron(**changes):
    return network(neuron={"class_path": "LIF", "init_args": {}} | changes)


NOT_WHOLE = "is not whole; export it anew. What is wrong: "


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c | {"model_type": "x"}, "config.json is not of a network of lit_delays."),
        (lambda c: c | {"format": 1}, "has format 1, this version of lit_delays reads 3;"),
        (lambda c: c | {"network": None}, "these are not the options of a network"),
        (lambda c: c | {"interface": None}, "an interface must have binning, "),
        (lambda c: c | {"layers": None}, f"{NOT_WHOLE}3 `layers` must be described"),
        (lambda c: c | {"layers": [1, 2, 3]}, f"{NOT_WHOLE}layers.0 must be described by a mapping in"),
        (network(new=1), "these are not the options of a network"),
        (network(hidden_sizes=[10**9, 24]), f"{NOT_WHOLE}layers.0.synapses.weight must have the shape (1000"),
        (network(hidden_sizes=[24] * 9), f"{NOT_WHOLE}10 `layers` must be described"),
        (
            network(num_inputs=10**9),
            f"{NOT_WHOLE}layers.0.synapses.weight must have the shape (24, 1000000000",
        ),
        (
            network(hidden_sizes=[0, 24]),
            "`hidden_sizes` must be one or more numbers of at least 1, got [0, 24].",
        ),
        (network(time_step_ms="long"), "these are not the options of a network"),
        (network(decision="dice"), "`decision` must be sum, mean, max or spike_count, got dice."),
        (neuron(class_path="os.system"), "`os.system` is no Neuron of lit_delays and may not be imported;"),
        (neuron(init_args={"tau": 1.0}), "LIF takes no argument `tau`; it takes tau_mem_ms, "),
        (
            neuron(init_args={"tau_mem_ms": 1.0}),
            "`tau_mem_ms` must be at least one time step (10 ms), got 1.",
        ),
        (neuron(init_args={"tau_mem_ms": "a"}), f"{NOT_WHOLE}no neurons can be made of these arguments"),
        (neuron(init_args={"surrogate": "a"}), f"{NOT_WHOLE}no neurons can be made of these arguments"),
        (neuron(class_path="PLIF"), f"{NOT_WHOLE}the shape of `layers.0.neuron.leak_logit` is none there"),
        (
            layer(shape=[24, 20]),
            f"{NOT_WHOLE}layers.0.synapses.weight must have the shape (24, 20, 1 or more)",
        ),
        (layer(num_lags=3), "the delays of hidden1 must be in [0, 2] time steps, got 0"),
        (layer(num_lags=10**9), f"{NOT_WHOLE}`num_lags` of layers.0 must be in [1, 32768], got 1000000000"),
        (network(num_inputs=10**400), "these are not the options of a network: a number is above 2^63."),
        (network(num_inputs=20.0), "`num_inputs` must be a whole number in [1, 2147483648], got 20.0."),
        (network(hidden_sizes=[1] * 10**5), "`hidden_sizes` must be at most 1000 numbers, got ["),
        (network(layers=[None] * 10**5), "these are not the options of a network: `layers` has more"),
        (neuron(init_args={"v_threshold": float("nan")}), "`v_threshold` must be above 0, got nan."),
        (lambda c: c | {"format": "x" * 10**6}, "has format 'xxxxx"),
        (lambda c: c | {"new": "x" * 2**24}, "config.json: more than 16,777,216 bytes"),
        (layer(num_lags=True), f"{NOT_WHOLE}`num_lags` of layers.0 must be in [1, 32768], got True"),
        (layer(keep_length=1), f"{NOT_WHOLE}`keep_length` of layers.0 must be true or false, got 1"),
        (interface(class_names=["a"]), "`class_names` must name 10 classes, got 1."),
        (interface(class_names="abcdefghij"), "`class_names` must be a list of one or more names"),
        (interface(channels_per_bin=0), "`channels_per_bin` must be at least 1, got 0."),
        (interface(num_units=2.5), "`num_units` must be at least 1, or null, got 2.5."),
        (interface(binning="x"), "`binning` must be uniform or paper, got 'x'."),
        (interface(clip_ms=-1), "`clip_ms` must be above 0 ms, or null, got -1."),
        (interface(dataset=3), "`dataset` must be a mapping, got 3."),
        (interface(task=""), "`task` must be a class, or the path of one, got ''."),
        (interface(task="a\nb"), "`task` must be a class, or the path of one, got 'a\\nb'."),
        (interface(crossing=0), "`crossing` must be above 0, or null, got 0."),
        *(
            (
                interface(scale=scale),
                "`scale` must be a mean and a deviation above 0 for every channel, all finite",
            )
            for scale in (
                3,
                [[0.0]],
                [0.0, 1.0],
                [[], []],
                [[0.0], [0]],
                [[0.0, 1.0], [1.0]],
                [[1e999], [1.0]],
            )
        ),
    ],
)
def test_a_wrong_config_says_what_is_wrong(change, sentence, small, tmp_path):
    safetensors_folder.save(small, tmp_path / "net")
    damage(tmp_path / "net", "config.json", change)
    with refused(sentence) as stopped:
        safetensors_folder.load(tmp_path / "net")
    assert "\n" not in str(stopped.value)
    assert len(str(stopped.value)) < 700


WRONG = (None, True, -1, 1.5, float("nan"), 10**400, "x", [], [1], {}, [[]], {"class_path": "LIF"})


def fields(value, path=()):
    """Where there is a value in plain values, the outermost ones first."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from fields(item, (*path, key))


def test_any_field_of_a_config_may_be_wrong(small, tmp_path):
    """Whatever stands in a field, a network comes back or one line says why not."""
    safetensors_folder.save(small, tmp_path / "net")
    content, lines = (tmp_path / "net" / "config.json").read_text(), []
    for *path, last in list(fields(json.loads(content)))[1:]:
        for wrong in WRONG:
            changed = inner = json.loads(content)
            for key in path:
                inner = inner[key]
            inner[last] = wrong
            (tmp_path / "net" / "config.json").write_text(json.dumps(changed))
            try:
                safetensors_folder.load(tmp_path / "net")
            except InputError as error:
                lines.append(str(error))
    assert not any("\n" in line or len(line) > 600 for line in lines)
    assert len(lines) > 200


def tensors(**changes):
    def change(content):
        loaded = safetensors.torch.load(content)
        return safetensors.torch.save(loaded | {f"layers.0.synapses.{k}": v for k, v in changes.items()})

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: content[:-10], NOT_WHOLE),
        (tensors(weight=torch.ones(3)), f"{NOT_WHOLE}layers.0.synapses.weight must have the shape"),
        (tensors(bias=torch.ones(3)), f"{NOT_WHOLE}the shape of `layers.0.synapses.bias` is (3,) there"),
        (tensors(new=torch.ones(3)), f"{NOT_WHOLE}the shape of `layers.0.synapses.new` is (3,) there"),
        (tensors(delay=torch.ones(24, 20, 1)), "must be of type torch.int16, got torch.float32"),
        (tensors(bias=torch.ones(24).double()), f"{NOT_WHOLE}all numbers must have one precision, got 2"),
        (tensors(bias=torch.full((24,), torch.nan)), "the weights of hidden1 are not all numbers;"),
    ],
)
def test_wrong_tensors_say_what_is_wrong(change, sentence, small, tmp_path):
    safetensors_folder.save(small, tmp_path / "net")
    damage(tmp_path / "net", "model.safetensors", change)
    with refused(sentence) as stopped:
        safetensors_folder.load(tmp_path / "net")
    assert "\n" not in str(stopped.value)


def test_a_folder_of_something_else_is_named(tmp_path):
    with refused(f"{tmp_path} must be a folder that `export --format safetensors` wrote; config.json: "):
        safetensors_folder.load(tmp_path)
