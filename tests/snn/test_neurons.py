"""Neurons: their published constants, what they learn and where it stays, and their readouts."""

import math
import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_delays.components import Factory
from lit_delays.errors import InputError
from lit_delays.snn.neurons import (
    LIF,
    PLIF,
    AdLIF,
    CAdLIF,
    CSiLIF,
    EFAdLIF,
    Heaviside,
    LeakyIntegrator,
    Neuron,
    RawCurrent,
    ReLU,
    SEAdLIF,
    SiLIF,
    SoftResetLIF,
    State,
    SynapticFilter,
    TwoStateNeuron,
)
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.neurons.readouts import readout_of
from lit_delays.snn.neurons.two_states import Coefficients
from lit_delays.snn.surrogates import SLAYER, ATan, Boxcar, Triangle

MANY = 4000
RANGES: dict[type[Neuron], dict[str, Any]] = {
    AdLIF: {"tau_mem_ms": (20, 100), "tau_adapt_ms": (120, 480), "a": (-1, 1), "b": (0, 2)},
    CAdLIF: {"tau_mem_ms": (4, 100), "tau_adapt_ms": (100, 400), "a": (0, 1), "b": (0, 2)},
    EFAdLIF: {"tau_mem_ms": (20, 100), "tau_adapt_ms": (240, 1200), "a": (0, 1), "b": (0, 2), "q": 120},
    SEAdLIF: {"tau_mem_ms": (20, 100), "tau_adapt_ms": (240, 1200), "a": (0, 1), "b": (0, 2), "q": 120},
    SiLIF: {"tau_mem_ms": (4, 100), "tau_adapt_ms": (100, 400), "a": (0, 1), "b": (0, 2)},
    CSiLIF: {"tau_mem_ms": (16, 800)},
    LIF: {"tau_mem_ms": 10.05, "v_threshold": 1, "detach_reset": True},
    PLIF: {"tau_mem_ms": 10.05, "v_threshold": 1, "detach_reset": True},
    SoftResetLIF: {"tau_mem_ms": 10.05, "v_threshold": 1, "detach_reset": False},
    LeakyIntegrator: {"tau_mem_ms": 10.05, "learn_tau": False},
    Heaviside: {"v_threshold": 1},
}


@pytest.mark.parametrize(("cls", "published"), RANGES.items(), ids=lambda it: getattr(it, "__name__", ""))
def test_constants_by_default_are_the_published_ones(cls: type[Neuron], published: dict[str, Any]) -> None:
    options = dict(Factory.of(cls).arguments)
    if (surrogate := options.pop("surrogate", None)) is not None:
        is_two = issubclass(cls, TwoStateNeuron)
        assert surrogate() == (SLAYER() if issubclass(cls, EFAdLIF) else Boxcar() if is_two else ATan())
    assert options == published


# a neuron at 4 ms, and where its parameters start and stay: None for those that stay nowhere
STARTS: dict[type[Neuron], dict[str, tuple[float, float]]] = {
    AdLIF: {
        "alpha": (math.exp(-4 / 20), math.exp(-4 / 100)),
        "beta": (math.exp(-4 / 120), math.exp(-4 / 480)),
        "a": (-1, 1),
        "b": (0, 2),
    },
    EFAdLIF: {"tau_u_mix": (0, 1), "tau_w_mix": (0, 1), "a": (0, 1), "b": (0, 2)},
    SiLIF: {
        "log_rate_u": (math.log(10), math.log(250)),
        "log_rate_w": (math.log(2.5), math.log(10)),
        "log_dt": (math.log(0.004), math.log(0.004)),
        "a": (0, 1),
        "b": (0, 2),
    },
    CSiLIF: {
        "log_damping": (math.log(0.5), math.log(0.5)),
        "frequency": (math.pi, math.pi),
        "log_dt": (math.log(0.01), math.log(0.5)),
        "b": (0, 1),
    },
}
FREE = {"log_rate_u", "log_rate_w", "log_dt", "log_damping", "frequency"}


@pytest.mark.parametrize(("cls", "starts"), STARTS.items(), ids=lambda it: getattr(it, "__name__", ""))
def test_what_each_neuron_learns_starts_anywhere_in_its_range_and_stays_there(
    cls: type[Neuron], starts: dict[str, tuple[float, float]]
) -> None:
    neuron = cls(MANY, 4.0)
    assert {name for name, _ in neuron.named_parameters()} == starts.keys()
    for name, (low, high) in starts.items():
        value = neuron.get_parameter(name)
        slack = 0.01 * (high - low) + 1e-6
        assert value.min().item() == pytest.approx(low, abs=slack), name
        assert value.max().item() == pytest.approx(high, abs=slack), name
        assert value.mean().item() == pytest.approx((low + high) / 2, abs=5 * slack), name
    for sign in (-1, 1):
        for value in neuron.parameters():
            value.data.fill_(99.0 * sign)
        neuron.constrain()
        for name, ends in starts.items():
            is_free = name in FREE or (cls is CSiLIF and name == "b")
            value = neuron.get_parameter(name)
            if is_free:
                assert (value.abs() > 90).all(), name
            else:
                torch.testing.assert_close(value.detach(), torch.full((MANY,), float(ends[sign > 0])))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (partial(LIF, tau_mem_ms=3.9), "`tau_mem_ms` must be at least one time step (4 ms), got 3.9."),
        (
            partial(PLIF, tau_mem_ms=4.0),
            "`tau_mem_ms` must be above one time step (4 ms) where it is learned",
        ),
        (partial(LIF, v_threshold=0.0), "`v_threshold` must be above 0, got 0."),
        (partial(Heaviside, v_threshold=-1.0), "`v_threshold` must be above 0, got -1."),
        (partial(SynapticFilter, tau_ms=3.0), "`synapse_tau_ms` must be at least one time step (4 ms)"),
        (partial(AdLIF, tau_mem_ms=(3.0, 9.0)), "`tau_mem_ms` must be at least one time step (4 ms), got [3"),
        (
            partial(AdLIF, tau_adapt_ms=(9.0, 8.0)),
            "`tau_adapt_ms` must be a range from its lower to its upper",
        ),
        (partial(EFAdLIF, b=(0.0, math.inf)), "`b` must be a range from its lower to its upper end"),
        (partial(SiLIF, a=(1.0, 0.0)), "`a` must be a range"),
        (partial(CAdLIF, a=(-math.inf, 0.0)), "`a` must be a range"),
        (partial(SEAdLIF, tau_adapt_ms=(3.9, 9.0)), "`tau_adapt_ms` must be at least one time step (4 ms)"),
        (partial(CSiLIF, tau_mem_ms=(9.0, math.nan)), "`tau_mem_ms` must be a range"),
        (partial(EFAdLIF, q=0.0), "`q` must be above 0, got 0."),
        (partial(SoftResetLIF, tau_mem_ms=3.9), "`tau_mem_ms` must be at least one time step (4 ms)"),
    ],
)
def test_a_constant_out_of_its_range_is_refused(make: partial[Neuron], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        make(2, 4.0)


@pytest.mark.parametrize(
    "make",
    [
        partial(LIF, tau_mem_ms=4.0),
        partial(PLIF, tau_mem_ms=4.1),
        partial(AdLIF, tau_mem_ms=(4.0, 4.0), a=(0.5, 0.5)),
    ],
)
def test_the_ends_of_a_range_belong_to_it(make: partial[Neuron]) -> None:
    assert make(2, 4.0)(torch.ones(3, 1, 2)).shape == (3, 1, 2)


def test_a_learned_time_constant_starts_where_it_is_told() -> None:
    for neuron in (PLIF(1, 2.0, tau_mem_ms=7.0), LeakyIntegrator(1, 2.0, tau_mem_ms=7.0, learn_tau=True)):
        assert neuron.leak_now == pytest.approx(2 / 7)
        assert isinstance(neuron.leak, Tensor)


@pytest.mark.parametrize("time_step_ms", [1.0, 4.0])
@pytest.mark.parametrize("cls", [AdLIF, CAdLIF, SiLIF, EFAdLIF, SEAdLIF])
def test_time_constants_in_ms_are_what_was_asked_for_and_what_the_adaptation_decays_by(
    cls: type[TwoStateNeuron], time_step_ms: float
) -> None:
    neuron = cls(3, time_step_ms, tau_mem_ms=(30.0, 30.0), tau_adapt_ms=(200.0, 200.0))  # type: ignore
    times = neuron.learned_times_ms()
    torch.testing.assert_close(times["membrane"], torch.full((3,), 30.0), rtol=1e-4, atol=0.0)
    torch.testing.assert_close(times["adaptation"], torch.full((3,), 200.0), rtol=1e-4, atol=0.0)
    decay = neuron.coefficients().ww.detach()
    torch.testing.assert_close(decay, torch.exp(-time_step_ms / times["adaptation"]))


def test_the_time_constants_of_other_neurons() -> None:
    learned = PLIF(3, 2.0, tau_mem_ms=7.0).learned_times_ms()
    torch.testing.assert_close(learned, {"membrane": torch.tensor([7.0])})
    oscillator = CSiLIF(3, 2.0, tau_mem_ms=(80.0, 80.0))
    times, c = oscillator.learned_times_ms(), oscillator.coefficients()
    root = torch.complex(c.uu, c.wu).detach()
    torch.testing.assert_close(times["membrane"], torch.full((3,), 80.0))
    torch.testing.assert_close(times["membrane"], -2.0 / root.abs().log())
    torch.testing.assert_close(times["period"], 2.0 * 2 * math.pi / root.angle())
    assert LIF(3, 2.0).learned_times_ms() == Heaviside(3, 2.0).learned_times_ms() == {}


@pytest.mark.parametrize("cls", [AdLIF, CAdLIF, SiLIF, CSiLIF, EFAdLIF, SEAdLIF])
def test_right_at_its_threshold_a_neuron_fires_or_not_as_its_paper_has_it(
    cls: type[TwoStateNeuron], monkeypatch: pytest.MonkeyPatch
) -> None:
    zero, one = torch.zeros(1), torch.ones(1)
    memoryless = Coefficients(uu=zero, uw=zero, uz=zero, ui=one, wu=zero, ww=zero, wz=zero)
    monkeypatch.setattr(cls, "coefficients", lambda neuron: memoryless)
    neuron = cls(1, 4.0)  # type: ignore[call-arg]
    current = torch.tensor([0.99, 1.0, 1.01]).view(3, 1, 1) / (2 if cls is CSiLIF else 1)
    for strict in (True, False):
        assert cls.strict  # as all published codes have it
        monkeypatch.setattr(neuron, "strict", strict)
        for run in (run_neuron, run_neuron.plain):
            assert run(neuron, current).flatten().tolist() == [0.0, 0.0 if strict else 1.0, 1.0]


class Foreign(Neuron):
    """Of somebody else, with a membrane or without."""

    def __init__(self, num_neurons: int, time_step_ms: float, *, tau_mem_ms: float | None = None) -> None:
        super().__init__(num_neurons, time_step_ms)
        if tau_mem_ms is not None:
            self.tau_mem_ms = tau_mem_ms

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        return current, state


@pytest.mark.parametrize(
    ("neuron", "quiet", "firing", "tau_mem_ms"),
    [
        (LIF(3, 2.0, tau_mem_ms=30.0), LeakyIntegrator, LIF, 30.0),
        (PLIF(3, 2.0, tau_mem_ms=30.0), LeakyIntegrator, PLIF, 30.0),
        (SoftResetLIF(3, 2.0, tau_mem_ms=30.0), LeakyIntegrator, SoftResetLIF, 30.0),
        (AdLIF(3, 2.0, tau_mem_ms=(10.0, 50.0)), LeakyIntegrator, LIF, 30.0),
        (Foreign(3, 2.0, tau_mem_ms=30.0), LeakyIntegrator, LIF, 30.0),
        (Foreign(3, 2.0), LeakyIntegrator, LIF, 10.05),
        (Heaviside(3, 2.0), RawCurrent, Heaviside, None),
        (ReLU(3, 2.0), RawCurrent, ReLU, None),
    ],
    ids=lambda it: type(it).__name__ if isinstance(it, Neuron) else "",
)
def test_a_readout_has_the_membrane_of_its_neurons_and_a_threshold_of_two_where_it_fires(
    neuron: Neuron, quiet: type[Neuron], firing: type[Neuron], tau_mem_ms: float | None
) -> None:
    for fires, kind in ((False, quiet), (True, firing)):
        readout = readout_of(neuron, 5, fires)
        assert type(readout) is kind
        assert (readout.num_neurons, readout.grid) == (5, neuron.grid)
        assert getattr(readout, "tau_mem_ms", None) == tau_mem_ms
        assert getattr(readout, "v_threshold", 2.0) == 2.0
        assert getattr(readout, "learn_tau", None) in (None, type(neuron) is PLIF)


@pytest.mark.parametrize("cls", [LIF, PLIF, SoftResetLIF, Heaviside])
def test_a_readout_that_fires_learns_by_the_same_surrogate(cls: type[Neuron]) -> None:
    readout = cls(3, 2.0, surrogate=partial(Triangle, slope=3.0)).readout(5, fires=True)  # type: ignore
    assert readout.surrogate == Triangle(slope=3.0)


def test_what_a_simulator_must_know_of_a_neuron() -> None:
    assert Heaviside(2, 1.0, v_threshold=1.5).constants() == {"v_threshold": 1.5}
    assert LeakyIntegrator(2, 1.0, tau_mem_ms=4.0).constants() == {"leak": 0.25, "v_threshold": None}
    assert LIF(2, 1.0, tau_mem_ms=4.0).constants() == {"leak": 0.25, "v_threshold": 1.0}
    assert AdLIF(2, 4.0).constants().keys() == {"alpha", "beta", "a", "b"}


def test_nodes_of_nir_have_the_constants_of_the_neuron() -> None:
    membrane = {"tau": pytest.approx(0.004), "r": pytest.approx(4.0), "v_leak": 0.0}
    assert LeakyIntegrator(2, 1.0, tau_mem_ms=4.0).nir(0.001) == ("LI", membrane)
    fires = {**membrane, "v_threshold": 1.5, "v_reset": 0.0}
    assert LIF(2, 1.0, tau_mem_ms=4.0, v_threshold=1.5).nir(0.001) == ("LIF", fires)
