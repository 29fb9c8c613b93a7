"""Soft kernels against the independent package ``dcls``, against autograd, and as they are deployed."""

from functools import partial

import pytest
import torch
from torch import Tensor

from lit_delays.snn.kernels import (
    TRIANGLE_HALF_WIDTH,
    Gaussian,
    Kernel,
    Laplace,
    Triangle,
    one_tap_kernel,
    soft_kernel,
)

SHAPE = (5, 4, 3)  # O, I, S
WINDOW = 9
each_kernel = pytest.mark.parametrize("kernel", [Gaussian(), Triangle(), Laplace()], ids=type)


def synapses() -> tuple[Tensor, Tensor]:
    weight = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    delay = torch.empty(SHAPE, dtype=torch.float64).uniform_(0, WINDOW - 1).requires_grad_()
    return weight, delay


def sigma(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("width", [0.6, 4.0])
@pytest.mark.parametrize(
    ("shape", "version", "offset"), [(Gaussian(), "gauss", 0.27), (Triangle(), "max", 1.0)]
)
def test_kernels_and_gradients_are_those_of_dcls(
    shape: Kernel, version: str, offset: float, width: float
) -> None:
    modules = pytest.importorskip("DCLS.construct.modules")
    weight, delay = synapses()
    kernel = soft_kernel(weight, delay, sigma(width), WINDOW, shape)
    stored = width - offset if version == "gauss" else TRIANGLE_HALF_WIDTH * width - offset
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
@each_kernel
def test_gradients_by_hand_are_those_of_autograd(
    kernel: Kernel, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lit_delays.snn.fast.soft_kernel.GROUP_SIZE", group)
    weight, delay = synapses()
    width = sigma(0.7)
    plain = soft_kernel.plain(weight, delay, width, WINDOW, kernel)
    fast = soft_kernel(weight, delay, width, WINDOW, kernel)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(plain)
    pairs = (torch.autograd.grad(made, (weight, delay), grad) for made in (fast, plain))
    for mine, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-11)


@each_kernel
def test_gradients_are_those_of_finite_differences(kernel: Kernel) -> None:
    weight, delay = synapses()
    made = partial(soft_kernel, sigma=sigma(1.3), num_lags=WINDOW, kernel=kernel)
    assert torch.autograd.gradcheck(made, (weight, delay))


@each_kernel
def test_taps_sum_to_one(kernel: Kernel) -> None:
    _, delay = synapses()
    taps = kernel.taps(delay, sigma(0.5), WINDOW)
    torch.testing.assert_close(taps.sum(dim=0), torch.ones_like(delay), rtol=0, atol=1e-5)


@each_kernel
def test_sigma_is_the_standard_deviation(kernel: Kernel) -> None:
    delay, lags = torch.tensor(100.3, dtype=torch.float64), torch.arange(201)
    taps = kernel.taps(delay, sigma(8.0), 201)
    mean = (taps * lags).sum()
    std = (taps * (lags - mean) ** 2).sum().sqrt()
    assert mean.item() == pytest.approx(100.3, abs=0.02)
    assert std.item() == pytest.approx(8.0, rel=0.01)


def test_at_its_peak_a_laplace_kernel_has_the_slope_zero() -> None:
    weight, delay = torch.ones(1, 1, 1), torch.full((1, 1, 1), 4.0, requires_grad=True)
    kernel = soft_kernel(weight, delay, torch.tensor(1.5), WINDOW, Laplace())
    (grad,) = torch.autograd.grad(kernel[4], delay, torch.ones(1, 1))
    assert grad.item() == pytest.approx(0.0, abs=1e-6)


def test_the_deployed_kernel_has_one_tap_per_synapse() -> None:
    weight, delay = synapses()
    is_nearest = torch.arange(WINDOW).view(-1, 1, 1, 1) == delay.round()
    plain = (is_nearest * weight).sum(dim=-1)
    deployed = one_tap_kernel(weight, delay, WINDOW)
    torch.testing.assert_close(deployed, plain, rtol=0, atol=1e-14)
    grads = [torch.autograd.grad(kernel.square().sum(), weight)[0] for kernel in (deployed, plain)]
    torch.testing.assert_close(*grads)
