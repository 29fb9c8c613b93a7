"""The fused neurons are the plain loops, with their gradients."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lit_delays.snn import neurons, scan
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.snn.normed import fits, normed_lif_scan
from lit_delays.snn.surrogates import SURROGATES, SurrogateName, make_surrogate

STEPS, SAMPLES, NEURONS = 12, 3, 5


def currents(steps: int = STEPS) -> Tensor:
    return torch.randn(steps, SAMPLES, NEURONS, dtype=torch.float64, requires_grad=True)


def same(plain: Callable[..., Tensor], fused: Callable[..., Tensor], *inputs: Tensor) -> None:
    """The two agree in their values and in their gradients for every input."""
    ys = [plain(*inputs), fused(*inputs)]
    torch.testing.assert_close(ys[1], ys[0], rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(ys[0])
    pairs = (torch.autograd.grad(y, inputs, grad) for y in ys)
    for theirs, mine in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("leak", [1.0, 0.995, 0.3])
@pytest.mark.parametrize("name", SURROGATES)
def test_a_fused_neuron_is_the_plain_one(name: SurrogateName, leak: float) -> None:
    surrogate = make_surrogate(name, 2.0)
    same(
        lambda x: neurons.lif(x, leak, 0.8, surrogate),
        lambda x: scan.lif_scan(x, leak, 0.8, surrogate),
        currents(),
    )


@pytest.mark.parametrize("name", SURROGATES)
def test_a_learned_time_constant_gets_the_same_gradient(name: SurrogateName) -> None:
    surrogate, leak = make_surrogate(name, 2.0), torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    same(
        lambda x, leak: neurons.lif(x, leak, 0.8, surrogate),
        lambda x, leak: scan.lif_scan(x, leak, 0.8, surrogate),
        currents(),
        leak,
    )
    same(neurons.leaky_integral, scan.leaky_integral_scan, currents(), leak)


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 9), leak=st.floats(0.01, 1.0), tau=st.floats(1.0, 9.0))
def test_filters_are_the_plain_ones_for_any_time_constant(steps: int, leak: float, tau: float) -> None:
    x, spikes = currents(steps), (currents(steps) > 0).double().requires_grad_()
    same(lambda x: neurons.leaky_integral(x, leak), lambda x: scan.leaky_integral_scan(x, leak), x)
    same(lambda s: neurons.synaptic_filter(s, tau), lambda s: scan.synaptic_filter_scan(s, tau), spikes)


def test_linear_filters_have_the_gradients_of_finite_differences() -> None:
    leak = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(scan.leaky_integral_scan, (currents(5), leak))
    assert torch.autograd.gradcheck(lambda s: scan.synaptic_filter_scan(s, 2.5), (currents(5),))


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("layout", [(0, 1, 2), (2, 0, 1)])
def test_norm_and_neurons_as_one_are_the_two(name: SurrogateName, layout: tuple[int, int, int]) -> None:
    neuron = neurons.Neuron("plif", tau=2.5, v_threshold=0.8, surrogate=make_surrogate(name, 2.0)).double()
    norms = [nn.BatchNorm1d(NEURONS).double() for _ in range(2)]
    gain, bias = torch.rand(NEURONS, dtype=torch.float64) - 0.3, torch.rand(NEURONS, dtype=torch.float64)
    for norm in norms:
        norm.weight.data.copy_(gain), norm.bias.data.copy_(bias)
    shape = [(STEPS, SAMPLES, NEURONS)[layout.index(axis)] for axis in range(3)]
    x = (3 + 2 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    current, mask = x.permute(layout), torch.randint(0, 3, (1, SAMPLES, NEURONS)).double()
    normed = norms[0](current.flatten(0, 1)).view(STEPS, SAMPLES, NEURONS)
    plain = neurons.lif(normed, neuron.leak, 0.8, neuron.surrogate) * mask
    fused = normed_lif_scan(current, norms[1], neuron, mask)
    assert torch.equal(fused, plain)
    assert 0 < (fused > 0).double().mean() < 1
    grad = torch.randn_like(plain)
    pairs = [
        torch.autograd.grad(heard, (x, norm.weight, norm.bias, neuron.leak_logit), grad)
        for heard, norm in zip((plain, fused), norms, strict=True)
    ]
    for theirs, mine in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    for theirs, mine in zip(*(norm.state_dict().values() for norm in norms), strict=True):
        torch.testing.assert_close(mine, theirs)


def lif_neuron(v_threshold: float = 1.0) -> neurons.Neuron:
    return neurons.Neuron("lif", tau=2.0, v_threshold=v_threshold, surrogate=make_surrogate("atan", 2.0))


def test_norms_that_are_not_the_plain_one_in_training_stay_apart() -> None:
    x, norm, neuron = torch.randn(4, 3, 2), nn.BatchNorm1d(2), lif_neuron()
    assert fits(norm, neuron, x)
    assert not fits(nn.SyncBatchNorm(2), neuron, x)
    assert not fits(nn.BatchNorm1d(2, affine=False), neuron, x)
    assert not fits(nn.BatchNorm1d(2, track_running_stats=False), neuron, x)
    assert not fits(nn.BatchNorm1d(2, momentum=None), neuron, x)
    assert not fits(norm, neuron, x.bfloat16())  # autocast
    assert not fits(norm, neuron, x[:1, :1])
    assert not fits(norm.eval(), neuron, x)


def test_neurons_that_never_fire_stay_apart_from_their_norm() -> None:
    assert not fits(nn.BatchNorm1d(2), lif_neuron(float("inf")), torch.randn(4, 3, 2))


def test_currents_in_any_layout_give_the_same_spikes() -> None:
    x = currents().detach().permute(2, 0, 1)
    surrogate = make_surrogate("atan", 5.0)
    fused, plain = (f(x, 0.3, 0.8, surrogate) for f in (scan.lif_scan, neurons.lif))
    assert torch.equal(fused, plain)


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_gpu_kernels_are_the_plain_loop_in_tritons_interpreter() -> None:
    code = """
import torch
from lit_delays.snn import scan_triton
from lit_delays.snn.neurons import lif
from lit_delays.snn.surrogates import ATan
torch.manual_seed(0)
for steps in (1, 7):
    x = torch.randn(steps, 3, 101, requires_grad=True)
    plain = lif(x, 0.25, 0.5, ATan())
    grad = torch.randn_like(plain)
    spikes, v_mem = scan_triton.lif_forward(x.detach(), 0.75, 0.5)
    assert torch.equal(spikes, plain)
    mine = scan_triton.lif_backward(grad, v_mem, 0.75, 0.5, ATan())
    torch.testing.assert_close(mine, torch.autograd.grad(plain, x, grad)[0], rtol=1e-5, atol=1e-5)
"""
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", SURROGATES)
def test_the_gpu_kernels_are_the_plain_loop_on_a_gpu(name: SurrogateName) -> None:
    surrogate, x = make_surrogate(name, 2.0), currents().float().cuda().detach().requires_grad_()
    spikes = [f(x, 0.25, 0.8, surrogate) for f in (neurons.lif, scan.lif_scan)]
    assert torch.equal(*spikes)
    grad = torch.randn_like(x)
    torch.testing.assert_close(*(torch.autograd.grad(s, x, grad)[0] for s in spikes))


def small() -> DelaySNN:
    return DelaySNN(
        NetworkConfig(num_inputs=6, num_classes=3, hidden_size=16, neuron="plif", max_delay_ms=90)
    )


def test_a_network_trains_in_reduced_precision() -> None:
    network, x = small(), torch.rand(20, 4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(x)
    output.float().sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch.compile looks at it itself
def test_a_compiled_network_gives_the_same_numbers() -> None:
    network, x = small().eval(), torch.rand(20, 4, 6)
    compiled = torch.compile(network, backend="aot_eager")  # needs no compiler on this machine
    torch.testing.assert_close(compiled(x), network(x))
