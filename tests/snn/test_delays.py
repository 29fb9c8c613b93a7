"""How a layer starts: as the reference's does."""

import pytest
import torch

from lit_delays.snn.delays import DelayedLinear


def sparse_layer(fan_in: int | None = 10, num_synapses: int = 1) -> DelayedLinear:
    return DelayedLinear(200, 300, max_delay=25, num_synapses=num_synapses, fan_in=fan_in)


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
