"""The fast sum of delayed inputs is the plain one, at a lower cost."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast.real_dft import circle, make_groups
from lit_delays.snn.fast.spectral_sum import is_cheaper
from lit_delays.snn.operation import use
from lit_delays.snn.synapses import SynapticDelays

direct_sum = delayed_sum.plain
TINY = st.integers(1, 3)


def spectral_sum(x: Tensor, kernel: Tensor, num_steps: int) -> Tensor:
    with use(delayed_sum="spectral"):
        return delayed_sum(x, kernel, num_steps)


def draw(*shape: int, grad: bool = True) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def both(x: Tensor, kernel: Tensor, num_steps: int) -> list[tuple[Tensor, Tensor]]:
    """Results and gradients of the two algorithms, in pairs."""
    direct, fast = direct_sum(x, kernel, num_steps), spectral_sum(x, kernel, num_steps)
    grad = torch.randn_like(direct)
    pairs = [torch.autograd.grad(y, (x, kernel), grad) for y in (direct, fast)]
    return [(direct, fast), *zip(*pairs, strict=True)]


@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 24), lags=st.integers(1, 40), sizes=st.tuples(TINY, TINY, TINY), data=st.data())
def test_the_fast_sum_is_the_plain_one_at_any_size(
    steps: int, lags: int, sizes: tuple[int, int, int], data: st.DataObject
) -> None:
    batch, fan_in, num_neurons = sizes
    num_steps = data.draw(st.integers(steps, steps + lags - 1))
    for direct, fast in both(draw(steps, batch, fan_in), draw(lags, num_neurons, fan_in), num_steps):
        torch.testing.assert_close(fast, direct, rtol=1e-10, atol=1e-10)


def test_its_gradients_are_those_of_finite_differences() -> None:
    x, kernel = draw(7, 2, 2), draw(4, 3, 2)
    assert torch.autograd.gradcheck(lambda x, k: spectral_sum(x, k, 9), (x, kernel))


def test_spectra_made_in_pieces_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.FREQUENCIES", 2)
    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.SAMPLES", 3)
    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.FOLDED", 2)
    for direct, fast in both(draw(9, 5, 2), draw(4, 3, 2), 10):
        torch.testing.assert_close(fast, direct, rtol=1e-10, atol=1e-10)


def test_scratch_memory_of_one_call_does_not_leak_into_the_next() -> None:
    x, kernel = draw(9, 3, 2), draw(4, 3, 2)
    first = spectral_sum(x, kernel, 10)
    kept = first.detach().clone()
    spectral_sum(10 * x, 10 * kernel, 10).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(first, kept)
    again = torch.autograd.grad(first.square().sum(), (x, kernel))
    direct = torch.autograd.grad(direct_sum(x, kernel, 10).square().sum(), (x, kernel))
    for mine, theirs in zip(again, direct, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_two_threads_do_not_share_scratch_memory() -> None:
    x, kernel = draw(9, 3, 2, grad=False), draw(4, 3, 2, grad=False)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda k: spectral_sum(k * x, kernel, 10), [1.0, -2.0] * 50))
    for factor, y in zip([1.0, -2.0] * 50, results, strict=True):
        torch.testing.assert_close(y, factor * results[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("values", "bytes_each"), [([0.0, 1.5], 1), ([0.0, 1.0, 2.0], 8), ([-1.0, 0.0], 8)])
def test_spikes_are_kept_as_bytes_and_counts_as_they_are(values: list[float], bytes_each: int) -> None:
    x = torch.tensor(values, dtype=torch.float64)[torch.randint(len(values), (9, 5, 2))].requires_grad_()
    kernel, kept = draw(4, 3, 2), []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        fast = spectral_sum(x, kernel, 10)
    assert [tensor.itemsize for tensor in kept if tensor.shape == x.shape] == [bytes_each]
    pairs = [torch.autograd.grad(y.sin().sum(), (x, kernel)) for y in (fast, direct_sum(x, kernel, 10))]
    for mine, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_inputs_without_gradient_cost_none() -> None:
    x, kernel = draw(5, 2, 2, grad=False), draw(3, 2, 2)
    spectral_sum(x, kernel, 6).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is None
    assert kernel.grad is not None


def test_float32_loses_a_millionth() -> None:
    x, kernel = draw(100, 4, 140, grad=False), draw(25, 16, 140, grad=False)
    exact = direct_sum(x, kernel, 112)
    error = (spectral_sum(x.float(), kernel.float(), 112) - exact).abs().max() / exact.abs().max()
    assert error < 2e-6


@pytest.mark.parametrize("path", ["plain", "spectral"])
def test_no_output_hears_the_future(path: str) -> None:
    x, kernel = draw(12, 1, 2), draw(5, 3, 2)
    with use(delayed_sum=path):
        (grad,) = torch.autograd.grad(delayed_sum(x, kernel, 14)[6].sum(), x)
    assert grad[7:].abs().max() < 1e-12
    assert grad[2:7].abs().min() > 1e-6


@pytest.mark.parametrize("path", ["plain", "spectral"])
def test_a_spike_comes_out_after_its_delay(path: str) -> None:
    x = torch.zeros(10, 1, 1)
    x[2] = 1.0
    kernel = torch.zeros(5, 1, 1)
    kernel[3] = 0.5
    with use(delayed_sum=path):
        y = delayed_sum(x, kernel, 12).flatten()
    torch.testing.assert_close(y, 0.5 * torch.eye(12)[5], rtol=0, atol=1e-6)


def test_short_windows_are_summed_directly_and_long_ones_by_spectra() -> None:
    shd = [(2, False), (5, True), (25, True), (125, True)]
    for num_lags, spectral in shd:
        assert is_cheaper((100, 256, 256), (num_lags, 256, 256), 100 + (num_lags - 1) // 2) == spectral
    assert not is_cheaper((100, 1, 256), (25, 256, 256), 112)  # one sample does not pay for a spectrum


def test_a_layer_without_delays_is_a_linear_layer() -> None:
    layer = SynapticDelays(4, 3, 10.0, delays="none", num_synapses=2)
    x = torch.randn(6, 5, 4)
    assert not is_cheaper((100, 256, 256), (1, 256, 256), 100)
    torch.testing.assert_close(layer(x), x @ layer.weight.sum(dim=-1).T)


def test_the_circle_is_long_enough_and_even() -> None:
    assert circle(100, 25) == 124
    assert circle(100, 26) == 126


def test_constants_are_made_once() -> None:
    size = (10, 3, 11, torch.float64, torch.device("cpu"))
    assert make_groups(*size) is make_groups(*size)


@pytest.mark.parametrize("inner", ["x", "kernel"])
def test_under_autocast_only_the_products_are_reduced(inner: str) -> None:
    x, kernel = draw(30, 8, 20).float(), draw(9, 10, 20).float()
    exact = direct_sum(x, kernel, 34)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = spectral_sum(x, kernel, 34)
    assert fast.dtype == torch.float32
    error = (fast - exact).norm() / exact.norm()
    assert 1e-5 < error < 1e-2
    wrt = x if inner == "x" else kernel
    (mine,), (theirs,) = (torch.autograd.grad(y.square().sum(), wrt) for y in (fast, exact))
    assert (mine - theirs).norm() / theirs.norm() < 2e-2
