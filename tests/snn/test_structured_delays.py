"""Delays that follow a rule: the cheap way is the dense one, windows follow, rounding keeps a gradient."""

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lit_delays.snn.fast  # noqa: F401
from lit_delays.metrics import footprints
from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.delays import DistanceDelays, HalfNormal, SummedDelays, Uniform, rounded
from lit_delays.snn.kernels import DelRecTriangle, Gaussian, Laplace, Triangle
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.operation import use
from lit_delays.snn.separated_sum import delayed_each
from lit_delays.snn.synapses import StructuredDelays, SynapticDelays

SHORT = partial(Uniform, high_ms=80.0)
RULES: dict[str, Any] = {
    "axonal": partial(SummedDelays, start=SHORT),
    "dendritic": partial(SummedDelays, learned=("dendritic",), start=SHORT),
    "both": partial(SummedDelays, learned=("axonal", "dendritic"), start=SHORT),
    "one fixed": partial(SummedDelays, fixed=("dendritic",), start=SHORT),
    "synaptic": partial(SummedDelays, learned=("synaptic",), start=SHORT),
    "all": partial(
        SummedDelays, learned=("axonal", "dendritic", "synaptic", "layer"), offset_ms=30.0, start=SHORT
    ),
    "none": partial(SummedDelays, learned=()),
    "distance": partial(DistanceDelays, start=SHORT),
}


def made(rule: Any, **options: Any) -> StructuredDelays:
    torch.manual_seed(0)
    synapses = StructuredDelays(6, 4, 10.0, delays=rule, **options).double()
    synapses.sigma.fill_(1.7)
    return synapses


def gradients(synapses: StructuredDelays, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    parameters = [x, *synapses.parameters()]
    probe = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return list(torch.autograd.grad((y * probe).sum(), parameters))


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("max_delay_ms", [110.0, None])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_cheap_way_is_the_dense_one(rule: Any, max_delay_ms: float | None, spread: bool) -> None:
    if spread and not rule(2, 2, 10.0).are_learned:
        pytest.skip("nothing is learned")
    synapses = made(rule, max_delay_ms=max_delay_ms, learn_spread=spread)
    x = torch.randn(30, 3, 6, dtype=torch.float64, requires_grad=True)
    for mode in (True, False):
        synapses.train(mode)
        cheap = synapses(x)
        dense = delayed_sum(x, synapses.dense_kernel(), len(cheap))
        torch.testing.assert_close(cheap, dense, rtol=1e-10, atol=1e-12)
        if mode:
            for left, right in zip(gradients(synapses, x, cheap), gradients(synapses, x, dense), strict=True):
                torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-10)


def test_only_delays_of_one_side_are_separated() -> None:
    assert made(RULES["axonal"]).separated().source is not None
    assert made(RULES["dendritic"]).separated().target is not None
    assert all(made(RULES[name]).separated() is None for name in ("both", "synaptic", "distance"))


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 30))
@settings(max_examples=25, deadline=None)
def test_delays_in_blocks_are_those_of_a_convolution(num_steps: int, num_lags: int, more: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(num_steps, 2, 3, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(num_lags, 3, dtype=torch.float64, requires_grad=True)
    found = delayed_each(x, taps, num_steps + min(more, num_lags - 1))
    with use(delayed_each="plain"):
        expected = delayed_each(x, taps, len(found))
    probe = torch.randn_like(expected)
    torch.testing.assert_close(found, expected)
    for left, right in zip(
        torch.autograd.grad(found, (x, taps), probe),
        torch.autograd.grad(expected, (x, taps), probe),
        strict=True,
    ):
        torch.testing.assert_close(left, right)


def test_a_delay_is_the_sum_of_its_parts() -> None:
    delays = RULES["all"](6, 4, 10.0)
    expected = (
        delays.axonal_delay
        + delays.dendritic_delay[:, None]
        + delays.delay
        + delays.layer_delay
        + delays.offset
    )
    torch.testing.assert_close(delays.exact(), expected)
    assert torch.equal(delays.eval()(), expected.round())
    assert 0 <= delays.offset.min() <= delays.offset.max() <= 3


def test_a_neuron_without_a_learned_delay_has_none() -> None:
    assert made(RULES["none"], max_delay_ms=None).num_lags == 1
    assert torch.equal(made(RULES["none"]).whole_delays()[1], torch.zeros(4, 6, 1, dtype=torch.int64))


def test_distances_are_those_between_the_neurons() -> None:
    delays = DistanceDelays(1, 1, 1.0, start=SHORT)
    with torch.no_grad():
        delays.source_position.copy_(torch.tensor([[3.0, 1.0]]))
        delays.target_position.copy_(torch.tensor([[0.0, 5.0]]))
    assert delays().item() == pytest.approx(5)
    own = DistanceDelays(3, None, 1.0, start=SHORT)
    assert torch.equal(own.exact().diag(), torch.zeros(3))
    own.exact().sum().backward()
    assert own.source_position.grad.isfinite().all()
    own.source_position.data += 1000.0
    own.constrain(10.0)
    assert own.exact().max() <= 10.0


def test_constrained_delays_stay_in_their_window() -> None:
    for rule in RULES.values():
        synapses = made(rule, max_delay_ms=110.0)
        for parameter in synapses.delays.parameters():
            parameter.data.normal_(0, 100)
        synapses.constrain()
        delay = synapses.delays.exact()
        assert delay.min() >= 0
        assert delay.max() <= synapses.num_lags - 1 + 1e-4


def test_an_axonal_layer_keeps_few_delays() -> None:
    config = NetworkConfig(num_inputs=6, num_classes=2, hidden_sizes=[5], synapses=StructuredDelays)
    network = Network(config)
    assert network.layers[0].synapses.delays.axonal_delay.shape == (6,)
    assert footprints(network)["hidden1"].num_delays <= 6


class TestRounding:
    def test_straight_through_is_whole_and_has_the_gradient_of_the_delay(self) -> None:
        delay = torch.tensor([0.4, 2.7], requires_grad=True)
        whole = rounded(delay, "straight_through")
        assert whole.tolist() == [0, 3]
        whole.sum().backward()
        assert delay.grad.tolist() == [1, 1]

    def test_stochastic_is_whole_and_right_in_the_mean(self) -> None:
        torch.manual_seed(0)
        drawn = rounded(torch.full((20000,), 3.3), "stochastic")
        assert set(drawn.tolist()) == {3.0, 4.0}
        assert float(drawn.mean()) == pytest.approx(3.3, abs=0.02)

    @pytest.mark.parametrize("make", [SynapticDelays, StructuredDelays])
    @pytest.mark.parametrize("rounding", ["none", "snap", "straight_through", "stochastic"])
    def test_every_rounding_has_a_gradient(self, make: Any, rounding: str) -> None:
        options = (
            {"rounding": rounding}
            if make is SynapticDelays
            else {"delays": partial(SummedDelays, rounding=rounding)}
        )
        synapses = make(4, 3, 10.0, **options)
        synapses.sigma.fill_(1.0)
        synapses(torch.rand(20, 2, 4)).square().sum().backward()
        delay = next(p for name, p in synapses.named_parameters() if name.endswith("delay"))
        assert delay.grad.abs().sum() > 0
        before = delay.detach().clone()
        synapses.snap()
        assert torch.equal(delay, before.round() if rounding == "snap" else before)


class TestFreeWindow:
    @pytest.mark.parametrize("kernel", [Gaussian, Triangle, Laplace])
    def test_resizing_changes_no_output(self, kernel: Any) -> None:
        """The soft kernel is that of a window that is much longer."""
        torch.manual_seed(0)
        free = SynapticDelays(5, 4, 10.0, max_delay_ms=None, start=SHORT, kernel=kernel, keep_length=True)
        wide = SynapticDelays(5, 4, 10.0, max_delay_ms=2000.0, kernel=kernel, keep_length=True)
        wide.load_state_dict(free.state_dict())
        x = torch.rand(40, 2, 5)
        for sigma in (6.0, 0.5):
            free.sigma.fill_(sigma)
            wide.sigma.fill_(sigma)
            torch.testing.assert_close(free(x), wide(x), rtol=0.02, atol=0.03)
        torch.testing.assert_close(free.eval()(x), wide.eval()(x))
        assert free.num_lags < 10 < wide.num_lags

    def test_it_grows_and_shrinks_and_comes_back_from_a_checkpoint(self) -> None:
        free = SynapticDelays(5, 4, 10.0, max_delay_ms=None, start=SHORT)
        free.delay.data[0, 0] = 77.4
        free.constrain()
        assert (free.num_lags, free.extra_steps) == (78, 38)
        again = SynapticDelays(5, 4, 10.0, max_delay_ms=None, start=SHORT)
        again.load_state_dict(free.state_dict())
        assert again.num_lags == 78
        free.delay.data.clamp_(max=2.0)
        free.constrain()
        assert free.num_lags == 3


def test_half_normal_delays_start_short() -> None:
    torch.manual_seed(0)
    drawn = HalfNormal(50.0).draw_ms((20000,))
    assert float(drawn.mean()) == pytest.approx(50 * (2 / torch.pi) ** 0.5, rel=0.02)


def test_the_published_kernel_interpolates_at_width_0_and_has_a_gradient_at_whole_delays() -> None:
    delay = torch.tensor([2.0], requires_grad=True)
    taps = DelRecTriangle().taps(delay, torch.tensor(0.0), 5)
    assert taps.flatten().tolist() == [0, 0, 1, 0, 0]
    (taps.flatten() * torch.tensor([0.0, 1.0, 5.0, 3.0, 0.0])).sum().backward()
    assert delay.grad.item() == 2.0  # the difference between its two neighbours
