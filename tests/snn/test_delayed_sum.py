"""The fast sum of delayed inputs is the plain one, at a lower cost."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lit_delays.snn import precision
from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast.circle import Circle, Dft, cheapest_circle, cost
from lit_delays.snn.fast.compiled import stages
from lit_delays.snn.fast.real_dft import MATRICES, is_one_product, make_transform
from lit_delays.snn.fast.spectral_sum import is_cheaper
from lit_delays.snn.operation import use
from lit_delays.snn.separated_sum import separated_sum
from lit_delays.snn.synapses import SynapticDelays

direct_sum = delayed_sum.plain
SIZES = (112, 25, 256, 256, 256), (1000, 251, 32, 256, 256)  # SHD, and at 1 ms
TINY, SOME = st.integers(1, 3), st.integers(1, 11)
WITH_NUMBA = pytest.mark.skipif(stages() is None, reason="numba is not installed")
SPECTRAL = ["spectral", pytest.param("compiled", marks=WITH_NUMBA)]


def spectral_sum(x: Tensor, kernel: Tensor, num_steps: int, form: str = "spectral") -> Tensor:
    with use(delayed_sum=form):
        return delayed_sum(x, kernel, num_steps)


def draw(*shape: int, grad: bool = True) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def both(x: Tensor, kernel: Tensor, num_steps: int, form: str = "spectral") -> list[tuple[Tensor, Tensor]]:
    """Results and gradients of the two algorithms, in pairs."""
    direct, fast = direct_sum(x, kernel, num_steps), spectral_sum(x, kernel, num_steps, form)
    grad = torch.randn_like(direct)
    pairs = [torch.autograd.grad(y, (x, kernel), grad) for y in (direct, fast)]
    return [(direct, fast), *zip(*pairs, strict=True)]


@pytest.mark.parametrize("form", SPECTRAL)
@settings(max_examples=60, deadline=None)
@given(steps=st.integers(1, 24), lags=st.integers(1, 40), sizes=st.tuples(SOME, SOME, TINY), data=st.data())
def test_the_fast_sum_is_the_plain_one_at_any_size(
    form: str, steps: int, lags: int, sizes: tuple[int, int, int], data: st.DataObject
) -> None:
    batch, fan_in, num_neurons = sizes
    num_steps = data.draw(st.integers(steps, steps + lags - 1))
    for direct, fast in both(draw(steps, batch, fan_in), draw(lags, num_neurons, fan_in), num_steps, form):
        torch.testing.assert_close(fast, direct, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", SPECTRAL)
def test_its_gradients_are_those_of_finite_differences(form: str) -> None:
    x, kernel = draw(7, 2, 2), draw(4, 3, 2)
    assert torch.autograd.gradcheck(lambda x, k: spectral_sum(x, k, 9, form), (x, kernel))


@pytest.mark.parametrize("form", SPECTRAL)
def test_spectra_made_in_pieces_give_the_same_numbers(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.TAPS", 2)
    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.SPECTRA", 100)
    monkeypatch.setattr("lit_delays.snn.fast.real_dft.SIGNALS", 4)
    for direct, fast in both(draw(9, 5, 2), draw(4, 3, 2), 10, form):
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


@pytest.mark.parametrize("form", SPECTRAL)
def test_two_threads_do_not_share_scratch_memory(form: str) -> None:
    x, kernel = draw(9, 3, 7, grad=False), draw(4, 5, 7, grad=False)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda k: spectral_sum(k * x, kernel, 10, form), [1.0, -2.0] * 50))
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


@pytest.mark.parametrize("form", SPECTRAL)
def test_float32_loses_a_millionth(form: str) -> None:
    x, kernel = draw(100, 4, 140, grad=False), draw(25, 16, 140, grad=False)
    exact = direct_sum(x, kernel, 112)
    error = (spectral_sum(x.float(), kernel.float(), 112, form) - exact).abs().max() / exact.abs().max()
    assert error < 2e-6


@pytest.mark.parametrize("path", ["plain", *SPECTRAL])
def test_no_output_hears_the_future(path: str) -> None:
    x, kernel = draw(12, 1, 2), draw(5, 3, 2)
    with use(delayed_sum=path):
        (grad,) = torch.autograd.grad(delayed_sum(x, kernel, 14)[6].sum(), x)
    assert grad[7:].abs().max() < 1e-12
    assert grad[2:7].abs().min() > 1e-6


@pytest.mark.parametrize("path", ["plain", *SPECTRAL])
def test_a_spike_comes_out_after_its_delay(path: str) -> None:
    x = torch.zeros(10, 1, 1)
    x[2] = 1.0
    kernel = torch.zeros(5, 1, 1)
    kernel[3] = 0.5
    with use(delayed_sum=path):
        y = delayed_sum(x, kernel, 12).flatten()
    torch.testing.assert_close(y, 0.5 * torch.eye(12)[5], rtol=0, atol=1e-6)


def test_a_step_alone_is_summed_directly_and_a_window_by_spectra() -> None:
    shd = [(1, False), (2, True), (25, True), (125, True)]
    for num_lags, spectral in shd:
        assert is_cheaper((100, 256, 256), (num_lags, 256, 256), 100 + (num_lags - 1) // 2) == spectral
    assert not is_cheaper((100, 1, 256), (25, 256, 256), 112)  # one sample does not pay for a spectrum


def test_a_layer_without_delays_is_a_linear_layer() -> None:
    layer = SynapticDelays(4, 3, 10.0, delays="none", num_synapses=2)
    x = torch.randn(6, 5, 4)
    assert not is_cheaper((100, 256, 256), (1, 256, 256), 100)
    torch.testing.assert_close(layer(x), x @ layer.weight.sum(dim=-1).T)


CIRCLES = [("spectral", 0), ("spectral", 2), ("spectral", 7), ("compiled", 0), ("compiled", 1)]


@pytest.mark.parametrize(("form", "which"), CIRCLES)
@pytest.mark.parametrize("block", [5, 9, 40])
def test_every_circle_gives_the_same_numbers(
    form: str, which: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products or stages, one block or many: the choice is one of cost alone."""

    def chosen(dft: Dft, num_steps: int, num_lags: int, *sizes: int) -> Circle:
        length = min(block, num_steps)
        return Circle(length, *dft.circles(length + num_lags - 1)[which], 0.0)

    monkeypatch.setattr("lit_delays.snn.fast.spectral_sum.cheapest_circle", chosen)
    for direct, fast in both(draw(40, 3, 2), draw(7, 4, 2), 43, form):
        torch.testing.assert_close(fast, direct, rtol=1e-10, atol=1e-10)


def test_the_circle_and_its_transforms_are_chosen_by_cost() -> None:
    shd, fine = (
        cheapest_circle(MATRICES, *it) for it in ((112, 25, 256, 256, 256), (1000, 251, 32, 256, 256))
    )
    assert (shd.block, shd.steps) == (112, 136)  # products cost most: one block, hardly longer than its echo
    assert is_one_product(shd.steps, shd.columns, 5)  # a kernel of few lags
    assert not is_one_product(shd.steps, shd.columns, 112)
    assert fine.block < 1000  # kernels' transforms cost most: a circle of little more than their lags
    assert fine.cost == min(
        cost(MATRICES, block, *circle, 1000, 251, 32, 256, 256)
        for block in (-(-1000 // number) for number in range(1, 5))
        for circle in MATRICES.circles(block + 250)
    )


@WITH_NUMBA
def test_a_compiled_sum_takes_the_circle_of_least_cost() -> None:
    shd, fine = (
        cheapest_circle(stages(), *it) for it in ((112, 25, 256, 256, 256), (1000, 251, 32, 256, 256))
    )
    assert (shd.block, shd.steps) == (112, 144)  # 136 and 138 have a factor without a stage, 140 too
    assert fine.cost == min(
        cost(stages(), block, *circle, 1000, 251, 32, 256, 256)
        for block in (-(-1000 // number) for number in range(1, 5))
        for circle in stages().circles(block + 250)
    )


@pytest.mark.parametrize("steps", [1000, 4000, 16_000])
def test_the_cost_grows_as_the_length(steps: int) -> None:
    sizes = 251, 32, 256, 256
    for dft in (MATRICES, *([it] if (it := stages()) else [])):
        assert cheapest_circle(dft, 2 * steps, *sizes).cost < 2.1 * cheapest_circle(dft, steps, *sizes).cost


@pytest.mark.parametrize(("n", "columns"), [(12, 1), (12, 3), (126, 9), (600, 12)])
def test_a_transform_is_the_fourier_transform_at_half_frequencies(n: int, columns: int) -> None:
    parts = ((1.0, 0.0), (0.0, 1.0))
    transform = make_transform(n, columns, n, parts, torch.float64, torch.device("cpu"))
    x = draw(n, 2, 3, grad=False)
    out = x.new_empty(*transform.size, 2, 3)
    transform.forward(x, out)
    angle = -torch.pi * torch.arange(n, dtype=torch.float64) / n
    turned = x * torch.polar(torch.ones_like(angle), angle).view(-1, 1, 1)
    expected = torch.fft.fft(turned, dim=0).view(columns, n // columns, 2, 3)[:, : n // columns // 2]
    real, imaginary = out.view(-1, 2, columns, 2, 3).unbind(1)
    torch.testing.assert_close(
        torch.complex(real, imaginary), expected.transpose(0, 1), rtol=1e-10, atol=1e-10
    )


def test_constants_are_made_once() -> None:
    size = (12, 3, 11, ((1.0, 0.0),), torch.float64, torch.device("cpu"))
    assert make_transform(*size) is make_transform(*size)


def relative(mine: Tensor, theirs: Tensor) -> float:
    return float(((mine - theirs).norm() / theirs.norm()).detach())


@pytest.mark.parametrize("inner", ["x", "kernel"])
@pytest.mark.parametrize("form", ["plain", *SPECTRAL])
def test_under_autocast_only_the_products_are_reduced(
    form: str, inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "processor_multiplies", lambda dtype: True)
    x, kernel = draw(30, 8, 20).float(), draw(9, 10, 20).float()
    exact = direct_sum(x, kernel, 34)
    with torch.autocast("cpu", dtype=torch.bfloat16), use(delayed_sum=form):
        reduced = delayed_sum(x, kernel, 34)
    assert reduced.dtype == torch.float32
    assert 1e-5 < relative(reduced, exact) < 1e-2
    wrt = x if inner == "x" else kernel
    (mine,), (theirs,) = (torch.autograd.grad(y.square().sum(), wrt) for y in (reduced, exact))
    assert relative(mine, theirs) < 2e-2


@pytest.mark.parametrize("num_lags", [1, 9])
@pytest.mark.parametrize("form", ["plain", *SPECTRAL])
def test_a_processor_without_reduced_products_makes_them_in_float32(
    form: str, num_lags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "processor_multiplies", lambda dtype: False)
    x, kernel = draw(30, 8, 20).float(), draw(num_lags, 10, 20).float()
    with torch.autocast("cpu", dtype=torch.bfloat16), use(delayed_sum=form):
        y = delayed_sum(x, kernel, 30)
    assert y.dtype == torch.float32
    assert relative(y, direct_sum(x, kernel, 30)) < 2e-6


def test_separated_sums_follow_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, taps = torch.randn(30, 8, 20), torch.randn(10, 20), torch.randn(9, 20)
    exact = separated_sum(x, weight, taps, None, 30)
    errors = []
    for has_them in (True, False):
        monkeypatch.setattr(precision, "processor_multiplies", lambda dtype, has=has_them: has)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            errors.append(relative(separated_sum(x, weight, taps, None, 30), exact))
    assert errors[1] < 2e-6 < 1e-5 < errors[0] < 1e-2
