"""Synapses: how they start, as the reference's do, and their deployed and step-by-step forms."""

import pytest
import torch

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
