"""Compiled loops of neurons, spikes and kernels are the plain equations, for any sizes."""

import math
import os
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lit_delays.snn.fast.compact import _as_truths, compact
from lit_delays.snn.fast.compiled import gaussian_loops, normed_lif_loops, stages, truth_loops
from lit_delays.snn.fast.lif_scan import LifConstants
from lit_delays.snn.fast.normed_lif import TorchLoops
from lit_delays.snn.kernels import EPSILON, Gaussian, Laplace, soft_kernel
from lit_delays.snn.network import Layer, layer_output
from lit_delays.snn.neurons import PLIF
from lit_delays.snn.surrogates import SLAYER, ATan, Boxcar, FastSigmoid, Surrogate, Triangle
from lit_delays.snn.synapses import SynapticDelays

if stages() is None:
    pytest.skip("numba is not installed", allow_module_level=True)

KNOWN = [
    ATan(),
    FastSigmoid(2.0),
    Triangle(0.7, scale=0.3),
    Boxcar(0.375),
]  # whose edges are exact in binary numbers
TOLERANCE = {torch.float64: {"rtol": 1e-10, "atol": 1e-12}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


def normed_layer(num_neurons: int, surrogate: Surrogate, dtype: torch.dtype) -> Layer:
    neuron = PLIF(num_neurons, 1.0, tau_mem_ms=2.5, v_threshold=0.8, surrogate=lambda: surrogate)
    synapses = SynapticDelays(2, num_neurons, 1.0, max_delay_ms=3.0)
    layer = Layer(synapses, nn.BatchNorm1d(num_neurons), neuron).to(dtype)
    assert isinstance(layer.norm, nn.BatchNorm1d)
    layer.norm.weight.data.uniform_(-0.3, 0.7)
    layer.norm.bias.data.uniform_()
    return layer


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(6, 8), st.integers(8, 70)),
    surrogate=st.sampled_from(KNOWN),
    is_ragged=st.booleans(),
    seed=st.integers(0, 999),
)
def test_norm_and_neurons_are_the_plain_ones(
    sizes: tuple[int, int, int], surrogate: Surrogate, is_ragged: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    lengths = torch.randint(1, sizes[0] + 1, sizes[1:2]) if is_ragged else None
    plain = normed_layer(sizes[-1], surrogate, torch.float64)
    fused = deepcopy(plain)
    current = (3 + 2 * torch.randn(sizes).double()).requires_grad_()
    mask = torch.randint(0, 3, (1, *sizes[1:])).double()
    assert normed_lif_loops(current, surrogate)
    outputs = [
        form(one, current, mask, lengths)
        for form, one in ((layer_output.plain, plain), (layer_output, fused))
    ]
    torch.testing.assert_close(outputs[1], outputs[0])
    grad = torch.randn_like(outputs[0])
    pairs = [
        torch.autograd.grad(y, (current, one.norm.weight, one.norm.bias, one.neuron.leak_logit), grad)
        for y, one in zip(outputs, (plain, fused), strict=True)
    ]
    for theirs, mine in zip(*pairs, strict=True):
        scale = float(theirs.abs().max()) or 1.0
        torch.testing.assert_close(mine / scale, theirs / scale, rtol=1e-9, atol=1e-11)


def test_norm_and_neurons_in_single_precision_are_those_in_double_but_for_rounding() -> None:
    torch.manual_seed(0)
    current, gain = torch.randn(30, 8, 70), torch.randn(30, 8, 70)
    settings_ = [torch.randn(70), 0.5 + torch.rand(70), torch.randn(70), torch.ones(1, 8, 70)]
    constants, results = LifConstants(0.6, 0.8, ATan()), []
    for dtype in (torch.float32, torch.float64):
        x, grad, mean, scale, shift, mask = (it.to(dtype) for it in (current, gain, *settings_))
        loops = normed_lif_loops(x, ATan())
        assert loops
        spikes = loops.spikes(x, scale, shift, mask, None, constants)
        grad, *sums = loops.grads(grad, x, mean, scale, shift, mask, None, constants, True)
        grad = loops.through_norm(grad, x, scale, mean, shift, None)
        results.append([spikes.double(), grad.double(), *(it.double() for it in sums)])
    assert 0.1 < results[1][0].mean() < 0.9
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


def test_more_steps_than_the_cache_holds_are_gone_through_one_vector_at_a_time() -> None:
    torch.manual_seed(0)
    plain, current = normed_layer(8, ATan(), torch.float64), torch.randn(4100, 1, 8).double()
    mask = torch.ones(1, 1, 8).double()
    fused = layer_output(deepcopy(plain), current, mask)
    torch.testing.assert_close(fused, layer_output.plain(plain, current, mask))


@pytest.mark.parametrize("surrogate", KNOWN, ids=lambda it: type(it).__name__)
def test_slopes_at_and_around_the_threshold_are_those_of_the_surrogate(surrogate: Surrogate) -> None:
    """One step, no norm: the gradient is the slope itself."""
    excess = torch.tensor([-0.5, -0.375, -0.37, -1e-9, 0.0, 1e-9, 0.375, 0.38] * 2, dtype=torch.float64)
    current, ones, nothing = (excess + 1).view(1, 1, 16), torch.ones(16).double(), torch.zeros(16).double()
    loops = normed_lif_loops(current, surrogate)
    assert loops
    given_ = ones.view(1, 1, 16), current, nothing, ones, nothing, ones.view(1, 1, 16)
    slopes, *_ = loops.grads(*given_, None, LifConstants(0.5, 1.0, surrogate), False)
    expected = surrogate.derivative(current - 1)
    torch.testing.assert_close(slopes, expected, rtol=1e-12, atol=1e-12)


def test_what_has_no_loop_takes_the_one_in_torch() -> None:
    current = torch.zeros(3, 4, 64)
    assert normed_lif_loops(current, SLAYER()) is None
    assert normed_lif_loops(current[..., :15], ATan()) is None  # less than a vector
    assert normed_lif_loops(current.bfloat16(), ATan()) is None
    assert gaussian_loops(torch.zeros(4, 4, 1), Laplace()) is None
    assert gaussian_loops(torch.zeros(3, 5, 1), Gaussian()) is None
    assert truth_loops(torch.zeros(15)) is None
    assert truth_loops(torch.zeros(40, 40).T) is None


def test_loops_in_torch_are_still_there_for_machines_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, grads = [], []
    for loops in (normed_lif_loops, lambda *_: None):
        monkeypatch.setattr("lit_delays.snn.fast.normed_lif.normed_lif_loops", loops)
        torch.manual_seed(0)
        layer, current = normed_layer(20, ATan(), torch.float64), torch.randn(7, 3, 20).double()
        current.requires_grad_()
        outputs.append(layer_output(layer, current, torch.ones(1, 3, 20).double()))
        assert (outputs[-1].grad_fn.loops is TorchLoops) == (loops is not normed_lif_loops)  # type: ignore
        grads.append(torch.autograd.grad(outputs[-1], current, torch.ones_like(outputs[-1]))[0])
    assert torch.equal(*outputs)
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


@each_dtype
@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(st.integers(4, 9), st.integers(4, 20), st.integers(1, 3)),
    num_lags=st.integers(1, 40),
    sigma=st.floats(0.05, 20),
    seed=st.integers(0, 999),
)
def test_gaussian_kernels_are_those_of_their_definition(
    dtype: torch.dtype, sizes: tuple[int, int, int], num_lags: int, sigma: float, seed: int
) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(sizes, dtype=dtype, requires_grad=True)
    delay = (torch.rand(sizes, dtype=dtype) * (num_lags - 1)).requires_grad_()
    width = torch.tensor(sigma, dtype=dtype)
    assert gaussian_loops(weight, Gaussian())
    kernels = [form(weight, delay, width, num_lags, Gaussian()) for form in (soft_kernel.plain, soft_kernel)]
    torch.testing.assert_close(kernels[1], kernels[0], **TOLERANCE[dtype])
    grad = torch.randn_like(kernels[0])
    pairs = [torch.autograd.grad(kernel, (weight, delay), grad) for kernel in kernels]
    for theirs, mine in zip(*pairs, strict=True):
        scale = float(theirs.abs().max()) or 1.0
        torch.testing.assert_close(mine / scale, theirs / scale, **TOLERANCE[dtype])


@each_dtype
def test_powers_of_e_are_right_to_the_last_digits(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight, delay = torch.ones(16, 8, 1), 12 * torch.rand(16, 8, 1)
    loops, sigma = gaussian_loops(weight.to(dtype), Gaussian()), torch.tensor(5.0)
    assert loops
    mine = loops.dense_kernel(weight.to(dtype), delay.to(dtype), sigma.to(dtype), 12).double()
    lag = torch.arange(12).view(-1, 1, 1) - delay.to(dtype).double().squeeze(-1)
    heights = torch.exp(-0.5 * (lag / 5).square())
    torch.testing.assert_close(
        mine, heights / (heights.sum(dim=0) + EPSILON), rtol=10 * torch.finfo(dtype).eps, atol=0.0
    )


@pytest.mark.parametrize("types", [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_weights_and_delays_of_two_types_are_not_taken_for_one(types: tuple[torch.dtype, ...]) -> None:
    weight, delay = torch.randn(8, 8, 1, dtype=types[0]), 9 * torch.rand(8, 8, 1, dtype=types[1])
    kernels = [
        form(weight, delay, torch.tensor(2.0), 10, Gaussian()) for form in (soft_kernel.plain, soft_kernel)
    ]
    assert torch.equal(*kernels)


@each_dtype
def test_a_delay_that_is_no_number_is_seen_and_far_ones_have_no_weight(dtype: torch.dtype) -> None:
    weight, delay = torch.ones(4, 6, 1, dtype=dtype), torch.full((4, 6, 1), 2.0, dtype=dtype)
    delay[0, 0], delay[1, 1], delay[2, 2] = math.nan, math.inf, -1e30
    kernel = soft_kernel(weight, delay, torch.tensor(0.5, dtype=dtype), 5, Gaussian())
    assert kernel[:, 0, 0].isnan().all()
    assert not kernel[:, 1, 1].any()
    assert not kernel[:, 2, 2].any()
    assert kernel.isnan().sum() == 5
    narrow = soft_kernel(weight, torch.full_like(weight, 2.0), torch.tensor(0.0, dtype=dtype), 5, Gaussian())
    assert narrow[2].min() > 0.99
    assert not narrow[[0, 1, 3, 4]].any()


@each_dtype
@pytest.mark.parametrize("shape", [(3, 5, 7), (40, 30, 33), (2, 1, 16)])
def test_spikes_become_bytes_and_nothing_else_does(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = (torch.rand(shape) < 0.3).to(dtype) * 1.25
    x[0, 0, 0] = 1.25
    assert truth_loops(x)
    spikes, size = compact(x)
    assert size == 1.25
    assert torch.equal(spikes, _as_truths(x, size))
    assert torch.equal(spikes.to(dtype) * size, x)
    for other in (-1.25, 0.5, 2.5, math.nan, math.inf):
        for place in (0, x.numel() // 2, x.numel() - 1):
            changed = x.clone()
            changed.view(-1)[place] = other
            kept, size = compact(changed)
            assert kept is changed
            assert size == 1


def test_no_spikes_at_all_stay_as_they_are() -> None:
    x = torch.zeros(5, 4, 8)
    assert compact(x)[0] is x


MEMORY = """
import torch
from lit_delays.snn.fast.compiled.transform import make_transform
made = make_transform(600, 0, 600, ((1, 1), (1, 0), (0, 1)), torch.float32, torch.device("cpu"))
x = torch.randn(600, 1, 4000)
spectrum, back = torch.empty(*made.size, 1, 4000), torch.empty_like(x)
made.forward(x, spectrum)
made.backward(spectrum, back)
print(float(back.abs().sum()) > 0)
"""


def test_memory_of_a_block_is_kept_until_its_last_use() -> None:
    """Here what is freed is unmapped at once; numba, which does not follow addresses, freed it too early."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    assert ran.stdout == "True\n"


def test_the_number_of_threads_changes_nothing() -> None:
    current, ones, results = torch.randn(40, 30, 50), torch.ones(50), []
    mask, before, loops = torch.ones(1, 30, 50), torch.get_num_threads(), normed_lif_loops(current, ATan())
    assert loops
    constants = LifConstants(0.5, 1.0, ATan())
    try:
        for num_threads in (1, 2, 3):
            torch.set_num_threads(num_threads)
            spikes = loops.spikes(current, ones, ones, mask, None, constants)
            grad, *sums = loops.grads(current, current, ones, ones, ones, mask, None, constants, True)
            results.append([spikes, grad.clone(), *sums])
    finally:
        torch.set_num_threads(before)
    assert results[0][0].mean() > 0.1
    for result in results[1:]:
        for mine, theirs in zip(result, results[0], strict=True):
            assert torch.equal(mine, theirs)
