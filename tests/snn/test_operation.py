"""Where torch looks into what is called, or tensors are no plain numbers in memory, plain forms answer."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.operation import Operation, use
from lit_delays.snn.synapses import SynapticDelays

which: Operation[[Tensor], str] = Operation(lambda x: "plain")
which.register("fast", can=lambda x: True)(lambda x: "fast")


def test_a_faster_form_is_taken_for_plain_tensors() -> None:
    assert which(torch.ones(2)) == which(torch.nn.Parameter(torch.ones(2))) == "fast"
    with use(**{which.name: "plain"}):
        assert which(torch.ones(2)) == "plain"


def traced(run: Callable[[Tensor], str]) -> str:
    seen = []

    def look(x: Tensor) -> Tensor:
        seen.append(run(x))
        return x + 1

    torch.jit.trace(look, torch.ones(2))
    return seen[0]


def fake(run: Callable[[Tensor], str]) -> str:
    with FakeTensorMode():
        return run(torch.ones(2))


def fake_outside_its_mode(run: Callable[[Tensor], str]) -> str:
    with FakeTensorMode() as mode:
        x = mode.from_tensor(torch.ones(2))
    return run(x)


def forward_derivative(run: Callable[[Tensor], str]) -> str:
    with forward_ad.dual_level():
        return run(forward_ad.make_dual(torch.ones(2), torch.ones(2)))


def negative_view(run: Callable[[Tensor], str]) -> str:
    return run(torch.ones(2, dtype=torch.complex64).conj().imag)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("way", [traced, fake, fake_outside_its_mode, forward_derivative, negative_view])
def test_a_plain_form_is_taken_for_all_others(way: Callable[[Callable[[Tensor], str]], str]) -> None:
    assert way(which) == "plain"
    assert which(torch.ones(2)) == "fast"


def test_a_network_of_fake_tensors_has_the_shape_of_its_answer() -> None:
    with FakeTensorMode():
        network = Network(NetworkConfig())
        assert network(torch.ones(100, 64, 140)).shape == (136, 64, 20)


@pytest.mark.parametrize("shape", [(10, 0, 64), (0, 4, 64)])
@pytest.mark.parametrize("fan_in", [None, 3])
def test_nothing_adds_up_to_nothing(shape: tuple[int, ...], fan_in: int | None) -> None:
    layer = partial(SynapticDelays, fan_in=fan_in)(64, 64, 10.0)
    y = layer(torch.zeros(shape))
    y.sum().backward()
    assert y.shape == (shape[0] + layer.extra_steps, shape[1], 64)
    assert not y.any()
    assert delayed_sum(torch.zeros(shape), torch.ones(5, 8, 64), 3).shape == (3, shape[1], 8)
