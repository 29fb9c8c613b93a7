"""Parts that are chosen by class: from a name to a class and back, and what may be imported on the way."""

import json
import re
import sys
from dataclasses import dataclass
from functools import partial

import pytest

from lit_delays import components
from lit_delays.components import Factory, allow, parameters_of, plain, rebuild
from lit_delays.errors import InputError
from lit_delays.snn.neurons import LIF, PLIF, Neuron
from lit_delays.snn.surrogates import ATan, FastSigmoid, Surrogate


@pytest.fixture(autouse=True)
def _nothing_is_allowed(monkeypatch):
    monkeypatch.setattr(components, "_allowed", set())
    monkeypatch.delenv("LIT_DELAYS_ALLOW_IMPORT", raising=False)


def refused(sentence):
    return pytest.raises(InputError, match=re.escape(sentence))


@pytest.mark.parametrize(
    "choice",
    [LIF, PLIF, partial(LIF, tau_mem_ms=33.0), partial(PLIF, surrogate=partial(FastSigmoid, slope=3.0))],
)
def test_a_part_comes_back_from_its_plain_values(choice):
    made = Factory.of(choice)
    assert rebuild(Neuron, json.loads(json.dumps(made.plain))) == made


def test_plain_values_hold_every_option_also_the_defaults():
    options = Factory.of(partial(LIF, tau_mem_ms=33.0)).plain["init_args"]
    atan = {"class_path": "lit_delays.snn.surrogates.ATan", "init_args": {"slope": 5.0}}
    assert options == {"tau_mem_ms": 33.0, "v_threshold": 1.0, "surrogate": atan, "detach_reset": True}


def test_of_two_partials_the_outer_one_wins():
    inner = partial(LIF, tau_mem_ms=33.0, v_threshold=2.0)
    made = Factory.of(partial(inner, tau_mem_ms=44.0))
    assert (made.arguments["tau_mem_ms"], made.arguments["v_threshold"]) == (44.0, 2.0)


def test_short_names_stand_for_our_own_parts():
    assert rebuild(Neuron, {"class_path": "PLIF"}).cls is PLIF
    assert rebuild(Surrogate, {"class_path": "ATan", "init_args": {"slope": 2.0}})() == ATan(2.0)


def test_a_class_that_is_defined_already_needs_no_import():
    class Mine(LIF):
        """Of a notebook, say."""

    assert rebuild(Neuron, Factory.of(Mine).plain).cls is Mine
    with refused("`Mine` is no Neuron of lit_delays and may not be imported"):
        rebuild(Neuron, {"class_path": "Mine"})  # a short name could be anybody's


@dataclass(frozen=True)
class Pulse(Surrogate):
    """Of this module."""

    def derivative(self, excess):
        return excess


@pytest.mark.parametrize("how", ["allow", "variable"])
def test_a_class_of_another_package_is_imported_only_where_that_is_allowed(how, tmp_path, monkeypatch):
    package = f"strangers_{how}"
    (tmp_path / f"{package}.py").write_text(
        "from lit_delays.snn.neurons import LIF\nclass Strange(LIF):\n    '''Odd.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    described = {"class_path": f"{package}.Strange", "init_args": {}}
    with refused(f"`{package}.Strange` is no Neuron of lit_delays and may not be imported; give"):
        rebuild(Neuron, described)
    assert package not in sys.modules
    if how == "allow":
        allow(package)
    else:
        monkeypatch.setenv("LIT_DELAYS_ALLOW_IMPORT", f"other, {package}")
    assert rebuild(Neuron, described).cls.__name__ == "Strange"


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        ("LIF", "a Neuron needs class_path and init_args, got 'LIF'."),
        ({"init_args": {}}, "a Neuron needs class_path and init_args"),
        ({"class_path": "os.system"}, "`os.system` is no Neuron of lit_delays and may not be imported"),
        ({"class_path": "lit_delays.no.Such"}, "cannot import `lit_delays.no.Such`"),
        ({"class_path": "lit_delays.time_grid.TimeGrid"}, "must be a subclass of Neuron."),
        ({"class_path": "LIF", "init_args": {"tau": 3}}, "LIF takes no argument `tau`; it takes tau_mem_ms,"),
        ({"class_path": "LIF", "init_args": [3]}, "LIF takes no argument `[3]`"),
    ],
)
def test_what_describes_no_part_is_refused(described, sentence):
    with refused(sentence):
        rebuild(Neuron, described)


def test_an_instance_is_no_part():
    with refused("a part must be a class or functools.partial of one, got ATan(slope=5.0)."):
        Factory.of(ATan())


def test_values_that_are_plain_already_stay_as_they_are():
    assert plain({"a": [1, None, "b"], "c": (True, 0.5)}) == {"a": [1, None, "b"], "c": [True, 0.5]}


class Plain(Neuron):
    """Options without a star before them."""

    def __init__(self, num_neurons: int, time_step_ms: float, gain: float, bounds: tuple[int, ...] = (1, 2)):
        super().__init__(num_neurons, time_step_ms)
        self.gain, self.bounds = gain, bounds

    def step(self, current, state):
        return self.gain * current, state


class HandsOn(PLIF):
    """Hands most of its options on to its parent."""

    def __init__(self, *args, noise: float = 0.5, **options):
        super().__init__(*args, **options)
        self.noise = noise


class Ramp(Surrogate):
    """With an option in plain Python."""

    def __init__(self, height: float = 2.0):
        self.height = height

    def derivative(self, excess):
        return self.height * excess


@pytest.mark.parametrize(
    ("base", "choice", "options"),
    [
        (Neuron, partial(Plain, gain=2.0), ["gain", "bounds"]),
        (
            Neuron,
            partial(HandsOn, tau_mem_ms=33.0),
            ["noise", "tau_mem_ms", "v_threshold", "surrogate", "detach_reset"],
        ),
        (Surrogate, partial(Ramp, height=3.0), ["height"]),
    ],
)
def test_options_in_any_style_of_python_are_kept(base, choice, options):
    made = Factory.of(choice)
    assert list(parameters_of(made.cls)) == options
    assert made.plain["init_args"].keys() == set(options)
    back = rebuild(base, json.loads(json.dumps(made.plain)))
    assert back == made
    part, again = (one(*(2, 10.0)[: 2 * (base is Neuron)]) for one in (made, back))
    names = set(vars(part)) & {"gain", "bounds", "noise", "tau_mem_ms", "height"}
    assert names
    assert all(getattr(part, name) == getattr(again, name) for name in names)


def test_types_that_only_a_type_checker_imports_do_no_harm(tmp_path, monkeypatch):
    (tmp_path / "for_checkers.py").write_text(
        "from __future__ import annotations\nfrom lit_delays.snn.neurons import LIF\n"
        "class Mine(LIF):\n    def __init__(self, num_neurons: A, time_step_ms: B, *, gain: C = 1.0):\n"
        "        super().__init__(num_neurons, time_step_ms)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    allow("for_checkers")
    described = {"class_path": "for_checkers.Mine", "init_args": {"gain": 2.0}}
    assert rebuild(Neuron, described).plain == described


def test_of_two_classes_of_one_name_the_newer_one_counts():
    def define(gain):
        class Mine(LIF):
            """Defined by a cell of a notebook that runs twice."""

        Mine.gain = gain
        return Mine

    _, newer = kept = define(1), define(2)
    assert rebuild(Neuron, Factory.of(newer).plain).cls is newer is kept[1]


def test_a_class_that_took_the_name_of_another_one_counts(monkeypatch):
    cell = "class Again({}):\n    def step(self, current, state):\n        return current, state\n"
    names = {"Neuron": Neuron, "LIF": LIF, "__name__": "notebook"}
    monkeypatch.setitem(sys.modules, "notebook", module := type(sys)("notebook"))
    for parent in ("Neuron", "LIF", "Neuron"):
        exec(cell.format(parent), names)
        module.Again = names["Again"]
        assert rebuild(Neuron, {"class_path": "notebook.Again"}).cls is module.Again


def test_options_without_a_name_are_refused():
    with refused("options of Ramp need their names, got (3.0,)."):
        Factory.of(partial(Ramp, 3.0))


def test_short_names_are_for_parts_of_this_package_alone():
    class Other(LIF):
        """Of a package whose name begins like ours."""

    Other.__module__ = "lit_delays_extra.neurons"
    with refused("`Other` is no Neuron of lit_delays"):
        rebuild(Neuron, {"class_path": "Other"})
