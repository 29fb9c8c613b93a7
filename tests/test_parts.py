"""Parts are chosen by class, on the command line and in configs, in whatever order things are said."""

import itertools
from pathlib import Path

import pytest
import yaml

from lit_delays import components
from lit_delays.cli.options import fit_parser, read
from lit_delays.errors import InputError
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, PLIF

NEURON, SYNAPSES = "--model.network.neuron", "--model.network.synapses"
OWN = """
from collections.abc import Callable
from dataclasses import dataclass

from lit_delays.data.datasets import Dataset
from lit_delays.snn.neurons import Neuron
from lit_delays.snn.surrogates import ATan, Surrogate


@dataclass(frozen=True)
class Bump(Surrogate):
    slope: float = 2.0
    width: float = 0.5

    def derivative(self, excess):
        return excess


class Slow(Neuron):
    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        tau_mem_ms: float = 40.0,
        tau_adapt_ms: tuple[float, float] = (60.0, 300.0),
        surrogate: Callable[[], Surrogate] = Bump,
    ) -> None:
        super().__init__(num_neurons, time_step_ms)

    def step(self, current, state):
        return current, state


class Usual(Slow):
    def __init__(self, num_neurons: int, time_step_ms: float, gain: float = 2.0, **kwargs) -> None:
        super().__init__(num_neurons, time_step_ms, **kwargs)
"""


@pytest.fixture(autouse=True)
def _own_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(components, "_allowed", set())
    Path("parts_of_mine.py").write_text(OWN)


def part(name, *words, of="network"):
    """Class and options of a part, as ``fit`` reads them."""
    options = read(["--allow-import=parts_of_mine", *words])
    found = options["model"]["network"][name] if of == "network" else options["data"][name]
    return found["class_path"].rpartition(".")[2], found["init_args"]


def config(name, text):
    Path(name).write_text(yaml.safe_dump({"model": {"network": yaml.safe_load(text)}}))
    return f"--config={name}"


def test_an_option_alone_belongs_to_the_class_that_is_there():
    name, options = part("neuron", f"{NEURON}.tau_mem_ms=20")
    assert (name, options["tau_mem_ms"], options["v_threshold"]) == ("LIF", 20.0, 1.0)


def test_to_say_what_is_so_by_default_changes_nothing():
    words = [
        f"{NEURON}=LIF",
        f"{NEURON}.surrogate.slope=5",
        f"{SYNAPSES}.kernel=Gaussian",
        "--data.dataset=SHD",
    ]
    words += ["--model.network.hidden_sizes=[256, 256]", "--model.network.layers=[]"]
    assert read(words) == read([])


def test_a_new_class_brings_its_own_defaults():
    name, options = part("neuron", NEURON, "parts_of_mine.Slow")
    assert (name, options["tau_mem_ms"], options["tau_adapt_ms"]) == ("Slow", 40.0, [60.0, 300.0])
    assert options["surrogate"]["init_args"] == {"slope": 2.0, "width": 0.5}
    _, options = part("neuron", f"{NEURON}.surrogate=Triangle")
    assert options["surrogate"]["init_args"] == {"slope": 1.0, "scale": 1.0}  # not the five of ATan


def test_options_of_a_class_in_usual_python_are_options_too():
    words = [f"{NEURON}.gain=3", f"{NEURON}.tau_mem_ms=50", f"{NEURON}=parts_of_mine.Usual"]
    for order in itertools.permutations(words):
        name, options = part("neuron", *order)
        assert (name, options["gain"], options["tau_mem_ms"]) == ("Usual", 3.0, 50.0)
        assert options["surrogate"]["class_path"] == "parts_of_mine.Bump"


def test_words_mean_the_same_in_any_order():
    base = config("base.yaml", "neuron: {tau_mem_ms: 15}")
    words = [base, f"{NEURON}=PLIF", f"{NEURON}.v_threshold=2", f"{NEURON}.surrogate.slope=3"]
    words += [f"{NEURON}.surrogate=FastSigmoid"]
    read_ones = [part("neuron", *order) for order in itertools.permutations(words)]
    assert read_ones[0] == (
        "PLIF",
        {
            "tau_mem_ms": 15.0,
            "v_threshold": 2.0,
            "surrogate": {"class_path": "lit_delays.snn.surrogates.FastSigmoid", "init_args": {"slope": 3.0}},
            "detach_reset": True,
        },
    )
    assert all(one == read_ones[0] for one in read_ones)


def test_words_beat_configs_and_later_configs_earlier_ones():
    base = config("base.yaml", "{dropout: 0.1, neuron: {tau_mem_ms: 15, v_threshold: 2}}")
    overlay = config("overlay.yaml", "{dropout: 0.2, neuron: {tau_mem_ms: 30}}")
    _, options = part("neuron", base, overlay)
    assert (options["tau_mem_ms"], options["v_threshold"]) == (30.0, 2.0)
    assert part("neuron", f"{NEURON}.tau_mem_ms=60", base, overlay)[1]["tau_mem_ms"] == 60.0
    assert read(["--model.network.dropout=0.3", base, overlay])["model"]["network"]["dropout"] == 0.3


@pytest.mark.parametrize(
    "neuron",
    [
        "PLIF",
        "{class_path: PLIF}",
        "{class_path: lit_delays.snn.neurons.PLIF, init_args: {v_threshold: 1.0}}",
        "{init_args: {v_threshold: 1.0}, class_path: lit_delays.snn.neurons.plif.PLIF}",
    ],
)
def test_a_config_names_a_class_in_every_usual_way(neuron):
    assert part("neuron", config("base.yaml", f"neuron: {neuron}")) == part("neuron", f"{NEURON}=PLIF")
    assert part("neuron", f"{NEURON}={neuron}") == part("neuron", f"{NEURON}=PLIF")


def test_an_option_of_the_class_before_is_left_out_where_the_new_one_has_none():
    base = config("base.yaml", "neuron: {tau_mem_ms: 15, v_threshold: 3}")
    assert part("neuron", base, f"{NEURON}=Heaviside")[1]["v_threshold"] == 3.0
    slow = config("slow.yaml", "neuron: {class_path: parts_of_mine.Slow, init_args: {tau_adapt_ms: [1, 2]}}")
    fast = config("fast.yaml", "neuron: LIF")
    assert "tau_adapt_ms" not in part("neuron", slow, fast)[1]


def test_parts_of_parts_are_chosen_too():
    name, options = part("synapses", f"{SYNAPSES}.kernel=Triangle", f"{SYNAPSES}.delays=fixed")
    assert name == "SynapticDelays"
    assert options["kernel"]["class_path"].endswith(".kernels.Triangle")
    assert options["delays"] == "fixed"
    assert options["fan_in"] is None
    assert part("synapses", f"{SYNAPSES}.fan_in=null")[1]["fan_in"] is None


def test_data_sets_are_parts():
    name, options = part("dataset", "--data.dataset.train_file=2024", "--data.dataset=SpikeFiles", of="data")
    assert (name, options["train_file"]) == ("SpikeFiles", "2024")


def test_a_layer_may_differ():
    words = ["--model.network.hidden_sizes=[8, 4, 2]", f"{NEURON}.v_threshold=2"]
    words += ["--model.network.layers", "[null, {neuron: {tau_mem_ms: 30}}, {neuron: PLIF}]"]
    network = read(words)["model"]["network"]
    first, second, third = network["layers"]
    assert network["hidden_sizes"] == [8, 4, 2]
    assert first is None
    assert second["synapses"] is None
    changed = second["neuron"]["init_args"]  # of the network's neuron, what is given
    assert (changed["v_threshold"], changed["tau_mem_ms"]) == (2.0, 30.0)
    assert third["neuron"]["init_args"]["v_threshold"] == 1.0  # another neuron, of its own
    config = NetworkConfig.of(network)
    assert [config.of_layer(index, "neuron").cls for index in range(3)] == [LIF, LIF, PLIF]


def test_what_is_printed_is_read_again(capsys):
    words = ["--model.network.hidden_sizes=[8, 4]", f"{NEURON}=PLIF", f"{SYNAPSES}.kernel=Laplace"]
    words += ["--model.network.layers=[null, {synapses: {delays: none}}]", "--data.dataset=Patterns"]
    options = read(words)
    Path("again.yaml").write_text(yaml.safe_dump({name: options[name] for name in ("model", "data")}))
    again = read(["--config=again.yaml"])
    assert (again["model"], again["data"]) == (options["model"], options["data"])


MISTAKES = {
    "an unknown class": ([NEURON, "lfi"], "must be one of "),
    "no class": ([NEURON, "null"], "got 'null'."),
    "a class of another kind": ([NEURON, "ATan"], "must be one of "),
    "a class that is not allowed": (
        [NEURON, "elsewhere.Slow"],
        "`--model.network.neuron`: `elsewhere.Slow` is no Neuron of lit_delays and may not be imported",
    ),
    "an unknown option": (
        [f"{NEURON}.tau=3"],
        "`--model.network.neuron.tau` is no option of LIF; it takes tau_mem_ms, v_threshold, surrogate,"
        " detach_reset.",
    ),
    "an option of another class": (
        [f"{NEURON}.tau_mem_ms=20", f"{NEURON}=Heaviside"],
        "`--model.network.neuron.tau_mem_ms` is no option of Heaviside; it takes v_threshold, surrogate.",
    ),
    "a wrong value": (
        [f"{NEURON}.tau_mem_ms=long"],
        "`--model.network.neuron.tau_mem_ms` must be float, got long.",
    ),
    "a wrong value of a part of a part": (
        [f"{NEURON}.surrogate.slope=steep"],
        "`--model.network.neuron.surrogate.slope` must be float, got steep.",
    ),
    "a wrong choice": (
        [f"{SYNAPSES}.delays=fxed"],
        "`--model.network.synapses.delays` must be one of learned, fixed, none, got fxed.",
    ),
    "a layer that is none": (
        ["--model.network.layers=[PLIF]"],
        "`--model.network.layers` must be a list with null, or what is different, for each layer, such as",
    ),
    "an unknown part of a layer": (
        ["--model.network.layers=[{dropout: 1}]"],
        "`dropout` cannot differ from layer to layer in `--model.network.layers`; choose from synapses,",
    ),
    "an old name": (
        ["--model.network.tau_mem_ms=20"],
        "`--model.network.tau_mem_ms` is no option; did you mean --model.network.neuron.tau_mem_ms?",
    ),
    "a word that is no YAML": (
        [f"{NEURON}={{class_path: PLIF"],
        "`--model.network.neuron` cannot be read as YAML: ",
    ),
    "a typo": (
        ["--model.network.hiden_sizes=[8]"],
        "`--model.network.hiden_sizes` is no option; did you mean --model.network.hidden_sizes?",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_the_option_the_rule_and_the_way_out(words, sentence):
    with pytest.raises(InputError) as refused:
        read(words)
    assert sentence in str(refused.value)


CONFIG_MISTAKES = {
    "an option of a class that is chosen elsewhere": (
        "neuron: {tau_adapt_ms: [1, 2]}",
        "`--model.network.neuron.tau_adapt_ms` is no option of LIF; it takes tau_mem_ms, v_threshold, ",
    ),
    "options beside class_path": (
        "neuron: {class_path: PLIF, v_threshold: 1.0}",
        "`--model.network.neuron` must have its options in init_args beside class_path, got {",
    ),
    "no part at all": ("neuron: 3", "got 3."),
    "null": ("neuron: null", "got None."),
}


@pytest.mark.parametrize(("text", "sentence"), CONFIG_MISTAKES.values(), ids=CONFIG_MISTAKES)
def test_a_mistake_in_a_config_is_told_in_the_same_way(text, sentence):
    with pytest.raises(InputError) as refused:
        read(["--allow-import=parts_of_mine", config("base.yaml", text), f"{NEURON}=parts_of_mine.Slow"])
    assert sentence in str(refused.value)


def test_a_group_of_options_cannot_be_a_value():
    Path("flat.yaml").write_text("trainer: fast")
    with pytest.raises(InputError, match=r"flat\.yaml: `trainer` must hold options, .*, got 'fast'\.$"):
        read(["--config=flat.yaml"])


def test_what_configs_may_import_checkpoints_may_hold():
    assert not components.is_allowed("parts_of_mine.neurons")
    read(["--allow-import=parts_of_mine"])
    assert components.is_allowed("parts_of_mine.neurons")
    assert not components.is_allowed("parts_of_mine_too")


def test_help_shows_the_options_of_a_class(capsys):
    with pytest.raises(SystemExit):
        fit_parser().parse_args([f"{NEURON}.help", "PLIF"])
    assert "Membrane time constant at the start, in ms" in " ".join(capsys.readouterr().out.split())
