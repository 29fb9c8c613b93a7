"""Recurrent synapses: when spikes arrive, for every kind of delay and neuron, in every form."""

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lit_delays.snn.fast  # noqa: F401
from lit_delays.errors import InputError
from lit_delays.snn.delays import DistanceDelays, HalfNormal, SummedDelays, Uniform
from lit_delays.snn.fast.past_sums import AxonalSums, DendriticSums, DenseSums
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, PLIF, Heaviside, Neuron, ReLU, SEAdLIF, SiLIF, SoftResetLIF
from lit_delays.snn.operation import use
from lit_delays.snn.recurrence import Recurrence, run_recurrent
from lit_delays.snn.synapses import RecurrentDelays, SynapticDelays

PLAIN = dict.fromkeys(("recurrent", "neuron", "layer", "delayed_each", "delayed_sum"), "plain")
RULES: dict[str, Any] = {
    "axonal": SummedDelays,
    "dendritic": partial(SummedDelays, learned=("dendritic",)),
    "synaptic": partial(SummedDelays, learned=("synaptic",)),
    "layer": partial(SummedDelays, learned=("layer",)),
    "hybrid": partial(SummedDelays, offset_ms=40.0),
    "fixed": partial(SummedDelays, learned=(), fixed=("axonal",)),
    "none": partial(SummedDelays, learned=()),
    "distance": DistanceDelays,
}
NEURONS = [LIF, PLIF, SoftResetLIF, partial(SoftResetLIF, detach_reset=False), SEAdLIF, SiLIF, ReLU]


@given(st.integers(0, 6), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_a_spike_arrives_one_step_and_its_delay_later(delay: int, num_steps: int) -> None:
    start = partial(Uniform, 10.0 * delay, 10.0 * delay)
    synapses = RecurrentDelays(1, 1, 10.0, delays=partial(SummedDelays, start=start)).eval()
    synapses.weight.data.fill_(1.0)
    current = torch.zeros(num_steps, 1, 1)
    current[0] = 1.0
    for forms in ({}, PLAIN):
        with use(**forms):
            spikes = run_recurrent(Heaviside(1, 10.0), synapses, current, torch.ones(1, 1)).flatten()
            again = run_recurrent(LIF(1, 10.0), synapses, current, torch.ones(1, 1)).flatten()
        assert spikes.nonzero().flatten().tolist() == list(range(0, num_steps, 1 + delay))
        assert torch.equal(spikes, again)


def network(rule: Any, neuron: Any = LIF, **options: Any) -> Network:
    torch.manual_seed(0)
    recurrent = partial(RecurrentDelays, delays=rule)
    config = NetworkConfig(
        num_inputs=7,
        num_classes=3,
        hidden_sizes=[9, 8],
        recurrent=recurrent,
        neuron=neuron,
        time_step_ms=4.0,
        **options,
    )
    made = Network(config).double()
    made.set_sigma(3.0)
    for layer in made.layers:
        layer.norm.weight.data *= 2
    return made


def counts(num_steps: int = 30) -> torch.Tensor:
    return (torch.rand(num_steps, 4, 7, generator=torch.Generator().manual_seed(1)) < 0.3).double() * 2


def gradients(made: Network) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    made.zero_grad()
    made(counts()).square().sum().backward()
    return {name: parameter.grad for name, parameter in made.named_parameters()}


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda it: getattr(it, "__name__", "SoftResetLIF undetached"))
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_fused_form_is_the_plain_one(rule: Any, neuron: Any) -> None:
    made = network(rule, neuron, recurrent_dropout=0.3)
    fused = gradients(made)
    with use(**PLAIN):
        plain = gradients(made)
    for name, grad in plain.items():
        assert grad is not None, name
        torch.testing.assert_close(fused[name], grad, rtol=1e-9, atol=1e-9 * float(grad.abs().max()))
    made.eval()
    with use(**PLAIN):
        expected = made(counts())
    torch.testing.assert_close(made(counts()), expected, rtol=1e-9, atol=1e-9)


def test_without_a_delay_it_is_an_ordinary_recurrent_network() -> None:
    torch.manual_seed(0)
    synapses = RecurrentDelays(5, 5, 10.0, delays=partial(SummedDelays, learned=()))
    current = torch.randn(20, 3, 5)
    v_mem = spikes = torch.zeros(3, 5)
    expected = []
    for now in current:
        v_mem = v_mem * (1 - spikes) * (1 - 10 / 20) + now + spikes @ synapses.weight.T
        spikes = (v_mem >= 1).float()
        expected.append(spikes)
    found = run_recurrent(LIF(5, 10.0, tau_mem_ms=20.0), synapses, current, torch.ones(3, 5))
    assert torch.equal(found, torch.stack(expected))


def test_any_synapses_can_be_recurrent() -> None:
    torch.manual_seed(0)
    config = NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[6], recurrent=SynapticDelays)
    made = Network(config)
    assert made.named_synapses().keys() == {"hidden1", "hidden1_recurrent", "readout"}
    made(torch.ones(20, 2, 4)).sum().backward()
    assert made.layers[0].recurrent.synapses.delay.grad is not None


def test_dropout_silences_a_current_for_the_whole_sample() -> None:
    torch.manual_seed(0)
    synapses = RecurrentDelays(40, 40, 10.0, delays=partial(SummedDelays, learned=()))
    torch.nn.init.constant_(synapses.weight, 1.0)
    recurrence = Recurrence(synapses, dropout=0.5)
    current = torch.zeros(6, 1, 40)
    current[0] = 1.0
    spikes = recurrence(Heaviside(40, 10.0), current)
    later = spikes[1:, 0]
    assert torch.equal(later, later[:1].expand_as(later))
    assert 0 < later[0].sum() < 40
    assert torch.equal(recurrence.eval()(Heaviside(40, 10.0), current), torch.ones_like(current))


@pytest.mark.parametrize(("num_steps", "num_lags"), [(1, 1), (5, 9), (8, 3), (21, 5), (30, 40)])
def test_sums_over_the_past_are_those_of_the_definition(num_steps: int, num_lags: int) -> None:
    torch.manual_seed(0)
    taps, weight = torch.randn(num_lags, 3).double(), torch.randn(3, 3).double()
    x = torch.randn(num_steps, 2, 3).double()
    past = [[t - 1 - k for k in range(num_lags) if t - 1 - k >= 0] for t in range(num_steps)]
    kernel = taps[:, None] * weight
    for sums, expected in (
        (
            AxonalSums(taps, weight, num_steps, 2),
            [[taps[t - 1 - s] * x[s] @ weight.T for s in past[t]] for t in range(num_steps)],
        ),
        (
            DendriticSums(taps, weight, num_steps, 2),
            [[taps[t - 1 - s] * (x[s] @ weight.T) for s in past[t]] for t in range(num_steps)],
        ),
        (
            DenseSums(kernel, num_steps, 2),
            [[x[s] @ kernel[t - 1 - s].T for s in past[t]] for t in range(num_steps)],
        ),
    ):
        for t in range(num_steps):
            total = sum(expected[t], torch.zeros(2, 3).double())
            torch.testing.assert_close(sums.due(t), total)
            sums.add(t, x[t])


def test_the_window_follows_the_delays_and_comes_back_from_a_checkpoint() -> None:
    made = network(RULES["axonal"])
    synapses = made.layers[0].recurrent.synapses
    with torch.no_grad():
        synapses.delays.axonal_delay.fill_(3.4)
    made.constrain()
    assert synapses.num_lags == 4
    with torch.no_grad():
        synapses.delays.axonal_delay[2] = 90.7
        synapses.delays.axonal_delay[3] = -2.0
    made.constrain()
    assert synapses.num_lags == 92
    assert synapses.delays.axonal_delay[3] == 0
    again = network(RULES["axonal"])
    again.load_state_dict(made.state_dict())
    assert again.layers[0].recurrent.synapses.num_lags == 92


def test_weights_start_orthogonal_or_within_a_bound() -> None:
    weight = RecurrentDelays(40, 40, 10.0).weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(40), rtol=0, atol=1e-5)
    weight = RecurrentDelays(40, 40, 10.0, weight_start="uniform").weight
    assert 0.95 * 40**-0.5 < weight.abs().max() < 40**-0.5
    assert weight.std().item() == pytest.approx((3 * 40) ** -0.5, rel=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: RecurrentDelays(3, 3, 10.0, weight_start="normal"),  # type: ignore[arg-type]
            "`weight_start` must be orthogonal or uniform, got 'normal'.",
        ),
        (
            lambda: RecurrentDelays(3, 4, 10.0),
            "recurrent synapses lead from a layer to itself, got 3 inputs and 4",
        ),
        (lambda: Uniform(-1.0, 5.0), "both at least 0, got -1 to 5."),
        (lambda: HalfNormal(-3.0), "`std_ms` must be above 0, as a negative delay is none, got -3."),
        (
            lambda: RecurrentDelays(3, 3, 10.0, delays=partial(SummedDelays, learned=()), learn_spread=True),
            "`learn_spread` needs delays that are learned",
        ),
        (
            lambda: RecurrentDelays(
                600, 600, 1.0, delays=partial(SummedDelays, start=partial(Uniform, 0.0, 30000.0))
            ),
            "a kernel of 40.",
        ),
        (lambda: SummedDelays(2, 2, 1.0, learned=("axonal", "axonal")), "must be different ones of axonal"),
        (lambda: SummedDelays(2, 2, 1.0, offset_ms=-1.0), "`offset_ms` must be at least 0"),
        (lambda: SummedDelays(2, 2, 1.0, rounding="up"), "`rounding` must be none, snap, straight_through"),
        (lambda: DistanceDelays(2, 2, 1.0, num_dimensions=0), "`num_dimensions` must be at least 1, got 0."),
        (lambda: NetworkConfig(recurrent_dropout=1.0), "`recurrent_dropout` must be in [0, 1), got 1.0."),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_neuron_of_ones_own_takes_the_plain_loop() -> None:
    class Half(Neuron):
        def step(self, current, state):
            return current / 2, state

    synapses = RecurrentDelays(2, 2, 10.0, delays=partial(SummedDelays, learned=()))
    torch.nn.init.eye_(synapses.weight)
    current = torch.zeros(3, 1, 2)
    current[0] = 1.0
    spikes = run_recurrent(Half(2, 10.0), synapses, current, torch.ones(1, 2))
    assert spikes[:, 0, 0].tolist() == [0.5, 0.25, 0.125]
