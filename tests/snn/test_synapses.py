"""Synapses: how they start, as the reference's do, and their deployed and step-by-step forms."""

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.snn.kernels import Triangle
from lit_delays.snn.synapses import Synapses, SynapticDelays, WholeDelays


def sparse_layer(fan_in: int | None = 10, num_synapses: int = 1) -> SynapticDelays:
    return SynapticDelays(200, 300, 10.0, num_synapses=num_synapses, fan_in=fan_in)


@pytest.mark.parametrize("num_synapses", [1, 2])
@pytest.mark.parametrize("fan_in", [None, 10])
def test_weights_start_as_if_no_synapse_was_missing(fan_in: int | None, num_synapses: int) -> None:
    bound = (6 / (200 * num_synapses)) ** 0.5
    weight = sparse_layer(fan_in, num_synapses).weight
    there = weight[weight != 0]
    assert 0.98 * bound < there.abs().max() <= bound
    assert there.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_a_neuron_keeps_exactly_as_many_synapses_as_it_may() -> None:
    layer = sparse_layer()
    assert layer.mask is not None
    assert (layer.mask.sum(dim=(1, 2)) == 10).all()
    assert torch.equal(layer.weight != 0, layer.mask)


def test_delays_start_anywhere_in_the_window_and_a_few_more_at_its_end() -> None:
    delay = sparse_layer().delay
    assert delay is not None
    whole = delay.floor().long().flatten().bincount(minlength=25) / delay.numel()
    torch.testing.assert_close(whole, torch.full((25,), 1 / 25), rtol=0.1, atol=0.0)
    assert (delay == 24).float().mean().item() == pytest.approx(1 / 25, rel=0.1)


@pytest.mark.parametrize("delays", ["learned", "fixed", "none"])
def test_evaluating_touches_no_parameter(delays: str) -> None:
    layer = SynapticDelays(3, 2, 10.0, max_delay_ms=50.0, delays=delays).eval()  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer(torch.ones(4, 2, 3))
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name


class OneDelayAnInput(Synapses):
    """Synapses of another kind: all of an input have one delay."""

    def __init__(self, num_inputs: int, num_outputs: int, time_step_ms: float) -> None:
        super().__init__(num_inputs, num_outputs, num_lags=7)
        self.weight = torch.nn.Parameter(torch.randn(num_outputs, num_inputs))
        self.delay = torch.nn.Parameter(6 * torch.rand(num_inputs))

    def dense_kernel(self) -> torch.Tensor:
        delay = self.delay if self.training else self.delay.round()
        taps = torch.relu(1 - (torch.arange(7).view(-1, 1) - delay).abs())
        return taps[:, None] * self.weight


def kinds() -> list[Synapses]:
    sparse = SynapticDelays(5, 4, 10.0, max_delay_ms=90.0, num_synapses=2, fan_in=6, keep_length=True)
    return [sparse, SynapticDelays(5, 4, 10.0, delays="none"), OneDelayAnInput(5, 4, 10.0)]


def whole(synapses: Synapses) -> WholeDelays:
    weight, delay = synapses.whole_delays()
    sizes = synapses.num_inputs, synapses.num_outputs, weight.shape[-1]
    made = WholeDelays(*sizes, num_lags=synapses.num_lags, keep_length=synapses.keep_length).double()
    made.weight.copy_(weight)
    made.delay.copy_(delay)
    return made


@pytest.mark.parametrize("index", range(3))
def test_the_deployed_form_of_any_synapses_gives_their_currents(index: int) -> None:
    synapses, x = kinds()[index].double().eval(), torch.rand(20, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(whole(synapses)(x), synapses(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("is_deployed", [True, False])
@pytest.mark.parametrize("index", range(3))
def test_steps_give_the_currents_of_the_batch_and_those_to_come(index: int, is_deployed: bool) -> None:
    synapses = kinds()[index].double().eval()
    synapses = whole(synapses) if is_deployed else synapses
    x = torch.rand(20, 3, 5, dtype=torch.float64) * (torch.rand(20, 1, 5) < 0.3)
    ring, currents = synapses.initial_ring(x[0]), []
    for now in torch.cat([x, torch.zeros(synapses.extra_steps, 3, 5, dtype=torch.float64)]):
        current, ring = synapses.step(now, ring)
        currents.append(current)
    torch.testing.assert_close(torch.stack(currents), synapses(x), rtol=1e-12, atol=1e-12)


def test_delays_are_brought_back_into_their_window() -> None:
    layer = SynapticDelays(3, 2, 10.0, max_delay_ms=50.0)  # five lags
    assert isinstance(layer.delay, torch.nn.Parameter)
    layer.delay.data.copy_(torch.tensor([[-3.0, -0.1, 0.0], [2.3, 4.0, 9.0]]).unsqueeze(-1))
    layer.constrain()
    assert layer.delay.flatten().tolist() == pytest.approx([0.0, 0.0, 0.0, 2.3, 4.0, 4.0])


@pytest.mark.parametrize(("num_lags", "extra"), [(1, 0), (2, 0), (3, 1), (6, 2), (7, 3)])
def test_a_layer_adds_half_its_window_unless_it_keeps_the_length(num_lags: int, extra: int) -> None:
    for keep_length, expected in ((False, extra), (True, 0)):
        made = WholeDelays(2, 1, 1, num_lags=num_lags, keep_length=keep_length)
        assert made.extra_steps == expected
        assert len(made(torch.ones(9, 1, 2))) == 9 + expected


def test_soft_delays_start_as_wide_as_half_a_window_and_not_below_what_their_kernel_allows() -> None:
    layer = SynapticDelays(2, 1, 10.0, max_delay_ms=250.0, kernel=Triangle)
    assert layer.sigma.item() == 12.5
    assert layer.min_sigma == Triangle().min_sigma > 0


def test_tables_say_in_one_word_what_a_layer_does_with_delays() -> None:
    for delays in ("learned", "fixed", "none"):
        layer = SynapticDelays(2, 1, 10.0, max_delay_ms=20.0, delays=delays)  # type: ignore[arg-type]
        assert layer.delay_kind == delays
    assert WholeDelays(2, 1, 1, num_lags=2, keep_length=False).delay_kind == "fixed"


def test_fixed_delays_are_whole_steps_within_the_window() -> None:
    delay = SynapticDelays(200, 300, 10.0, max_delay_ms=40.0, delays="fixed").delay
    assert delay is not None
    assert delay.unique().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_neuron_may_keep_all_of_its_possible_synapses_but_no_more() -> None:
    mask = SynapticDelays(3, 2, 10.0, num_synapses=2, fan_in=6).mask
    assert mask is not None
    assert mask.all()
    for fan_in in (0, 7):
        with pytest.raises(InputError, match="`fan_in` must be between 1 and the 6 possible synapses"):
            SynapticDelays(3, 2, 10.0, num_synapses=2, fan_in=fan_in)


@pytest.mark.parametrize("size", ["num_inputs", "num_outputs", "num_synapses"])
def test_a_size_below_one_is_refused(size: str) -> None:
    sizes = {"num_inputs": 2, "num_outputs": 2, "num_synapses": 1, size: 0}
    with pytest.raises(InputError, match=f"`{size}` must be at least 1, got 0."):
        SynapticDelays(time_step_ms=10.0, **sizes)


def test_negative_inputs_count_in_a_step_too() -> None:
    synapses = whole(SynapticDelays(5, 4, 10.0, max_delay_ms=30.0).double().eval())
    x = -torch.rand(6, 1, 5, dtype=torch.float64)
    ring, currents = synapses.initial_ring(x[0]), []
    for now in x:
        current, ring = synapses.step(now, ring)
        currents.append(current)
    torch.testing.assert_close(torch.stack(currents), synapses(x)[:6], rtol=1e-12, atol=1e-12)
