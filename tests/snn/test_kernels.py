"""Soft kernels against the independent package ``dcls``, against autograd, and as they are deployed."""

import pytest
import torch
from torch import Tensor

from lit_delays.snn.delays import DelayedLinear
from lit_delays.snn.kernels import (
    KERNELS,
    TRIANGLE_HALF_WIDTH,
    KernelName,
    deployed_kernel,
    one_tap,
    soft_kernel,
)

SHAPE = (5, 4, 3)  # O, I, S
WINDOW = 9
NAMES: list[KernelName] = ["gaussian", "triangle", "laplace"]


def synapses() -> tuple[Tensor, Tensor]:
    weight = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    delay = torch.empty(SHAPE, dtype=torch.float64).uniform_(0, WINDOW - 1).requires_grad_()
    return weight, delay


def sigma(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("width", [0.6, 4.0])
@pytest.mark.parametrize(
    ("name", "version", "offset"), [("gaussian", "gauss", 0.27), ("triangle", "max", 1.0)]
)
def test_kernels_and_gradients_are_those_of_dcls(
    name: KernelName, version: str, offset: float, width: float
) -> None:
    modules = pytest.importorskip("DCLS.construct.modules")
    weight, delay = synapses()
    kernel = soft_kernel(weight, delay, sigma(width), WINDOW, name)
    stored = width - offset if name == "gaussian" else TRIANGLE_HALF_WIDTH * width - offset
    construct = modules.ConstructKernel1d(*SHAPE[:2], 1, SHAPE[2], (WINDOW,), version)
    position = WINDOW // 2 - delay  # theirs counts from the centre, and cross-correlates
    theirs = construct(weight, position[None], torch.full((1, *SHAPE), stored, dtype=torch.float64))
    torch.testing.assert_close(kernel, theirs.permute(2, 0, 1).flip(0), rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(kernel)
    mine = torch.autograd.grad(kernel, (weight, delay), grad)
    expected = torch.autograd.grad(theirs.permute(2, 0, 1).flip(0), (weight, delay), grad)
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("group", [1, 2**17])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_hand_are_those_of_autograd(
    name: KernelName, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_delays.snn.kernels.GROUP_SIZE", group)
    weight, delay = synapses()
    width = sigma(0.7)
    plain = (KERNELS[name](delay, width, WINDOW) * weight).sum(dim=-1)
    fast = soft_kernel(weight, delay, width, WINDOW, name)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(plain)
    pairs = (torch.autograd.grad(kernel, (weight, delay), grad) for kernel in (fast, plain))
    for mine, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name: KernelName) -> None:
    weight, delay = synapses()
    assert torch.autograd.gradcheck(lambda w, d: soft_kernel(w, d, sigma(1.3), WINDOW, name), (weight, delay))


@pytest.mark.parametrize("name", NAMES)
def test_taps_sum_to_one(name: KernelName) -> None:
    _, delay = synapses()
    taps = KERNELS[name](delay, sigma(0.5), WINDOW)
    torch.testing.assert_close(taps.sum(dim=0), torch.ones_like(delay), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_sigma_is_the_standard_deviation(name: KernelName) -> None:
    delay, lags = torch.tensor(100.3, dtype=torch.float64), torch.arange(201)
    taps = KERNELS[name](delay, sigma(8.0), 201)
    mean = (taps * lags).sum()
    std = (taps * (lags - mean) ** 2).sum().sqrt()
    assert mean.item() == pytest.approx(100.3, abs=0.02)
    assert std.item() == pytest.approx(8.0, rel=0.01)


def test_at_its_peak_a_laplace_kernel_has_the_slope_zero() -> None:
    weight, delay = torch.ones(1, 1, 1), torch.full((1, 1, 1), 4.0, requires_grad=True)
    kernel = soft_kernel(weight, delay, torch.tensor(1.5), WINDOW, "laplace")
    (grad,) = torch.autograd.grad(kernel[4], delay, torch.ones(1, 1))
    assert grad.item() == pytest.approx(0.0, abs=1e-6)


def test_the_deployed_kernel_has_one_tap_per_synapse() -> None:
    weight, delay = synapses()
    plain = (one_tap(delay, WINDOW) * weight).sum(dim=-1)
    deployed = deployed_kernel(weight, delay, WINDOW)
    torch.testing.assert_close(deployed, plain, rtol=0, atol=1e-14)
    grads = [torch.autograd.grad(kernel.square().sum(), weight)[0] for kernel in (deployed, plain)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("delays", ["learned", "fixed", "none"])
def test_evaluating_touches_no_parameter(delays: str) -> None:
    layer = DelayedLinear(3, 2, max_delay=5, delays=delays).eval()  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer(torch.ones(4, 2, 3))
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name
