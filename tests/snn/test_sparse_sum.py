"""Few synapses of a neuron are summed one by one: the same numbers as the sum of all inputs."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lit_delays.snn.delayed_sum import delayed_sum
from lit_delays.snn.fast.compiled import sparse_loops, stages
from lit_delays.snn.operation import use
from lit_delays.snn.sparse_sum import sparse_sum
from lit_delays.snn.synapses import SynapticDelays

WITH_NUMBA = pytest.mark.skipif(stages() is None, reason="numba is not installed")


def naive(x: Tensor, taps: Tensor, inputs: Tensor, num_steps: int) -> Tensor:
    y = x.new_zeros(num_steps, x.shape[1], taps.shape[1])
    for k, o, f in torch.cartesian_prod(*map(torch.arange, taps.shape)).tolist():
        for t in range(k, min(num_steps, len(x) + k)):
            y[t, :, o] += taps[k, o, f] * x[t - k, :, inputs[o, f]]
    return y


def drawn(seed: int, sizes: tuple[int, ...], extra: int) -> tuple[Tensor, Tensor, Tensor, int]:
    torch.manual_seed(seed)
    num_steps, batch, num_inputs, num_outputs, fan_in, num_lags = sizes
    x = torch.randn(num_steps, batch, num_inputs).double().requires_grad_()
    taps = torch.randn(num_lags, num_outputs, fan_in).double().requires_grad_()
    return x, taps, torch.randint(num_inputs, (num_outputs, fan_in)), num_steps + extra


def test_the_plain_sum_is_that_of_its_definition() -> None:
    x, taps, inputs, num_steps = drawn(0, (6, 2, 5, 4, 3, 4), 2)
    expected = naive(x.detach(), taps.detach(), inputs, num_steps)
    torch.testing.assert_close(sparse_sum.plain(x, taps, inputs, num_steps), expected)


@WITH_NUMBA
@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(
        st.integers(1, 20),
        st.integers(1, 20),
        st.integers(8, 30),
        st.integers(8, 30),
        st.integers(1, 4),
        st.integers(1, 20),
    ),
    share=st.floats(0, 1),
    spikes=st.booleans(),
    seed=st.integers(0, 999),
)
def test_compiled_loops_give_the_sum_and_its_gradients(
    sizes: tuple[int, ...], share: float, spikes: bool, seed: int
) -> None:
    """Two synapses may have one input; lags may be longer than the sample; spikes wait as bytes."""
    x, taps, inputs, num_steps = drawn(seed, sizes, extra=round(share * (sizes[-1] - 1)))
    if spikes:
        x = ((x.detach() > 0).double() * 1.25).requires_grad_()
    assert sparse_loops(x, taps.shape[1])
    sums = []
    for form in ("plain", "compiled"):
        with use(sparse_sum=form):
            sums.append(sparse_sum(x, taps, inputs, num_steps))
    torch.testing.assert_close(sums[1], sums[0], rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(sums[0])
    for theirs, mine in zip(*(torch.autograd.grad(y, (x, taps), grad) for y in sums), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@WITH_NUMBA
def test_single_precision_is_double_but_for_rounding_on_any_number_of_threads() -> None:
    x, taps, inputs, num_steps = drawn(0, (60, 40, 40, 33, 5, 13), 6)
    results, before = [], torch.get_num_threads()
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            with use(sparse_sum="compiled"):
                y = sparse_sum(x.float(), taps.float(), inputs, num_steps)
            results.append([y, *torch.autograd.grad(y.sum(), (x, taps))])
    finally:
        torch.set_num_threads(before)
    exact = sparse_sum.plain(x, taps, inputs, num_steps)
    exact_grads = torch.autograd.grad(exact.sum(), (x, taps))
    for mine, other, theirs in zip(*results, [exact, *exact_grads], strict=True):
        assert torch.equal(mine, other)
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-3)


OPTIONS = {
    "learned": {},
    "two synapses a pair": {"num_synapses": 2},
    "fixed": {"delays": "fixed"},
    "whole in training": {"rounding": "straight_through"},
    "a free window": {"max_delay_ms": None},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_sparse_layer_is_the_dense_one_with_weights_of_zero(options: dict[str, object]) -> None:
    torch.manual_seed(0)
    layer = SynapticDelays(20, 18, 1.0, **{"max_delay_ms": 9.0, "fan_in": 3} | options).double()  # type: ignore
    layer.sigma.fill_(1.5)
    x, learned = torch.randn(15, 4, 20).double().requires_grad_(), [layer.weight]
    if layer.learns_delays:
        assert layer.delay is not None
        learned.append(layer.delay)  # type: ignore[arg-type]
    few = layer.few()
    assert few is not None
    assert few.taps.shape[1:] == few.inputs.shape == (18, 3)
    kernel = layer.dense_kernel()
    outputs = [delayed_sum(x, kernel, 15 + layer.extra_steps), layer(x)]
    torch.testing.assert_close(outputs[1], outputs[0])
    grad = torch.randn_like(outputs[0])
    (of_x, *theirs), (mine_of_x, *mine) = (torch.autograd.grad(y, (x, *learned), grad) for y in outputs)
    torch.testing.assert_close(mine_of_x, of_x)
    for parameter, own in zip(theirs, mine, strict=True):
        torch.testing.assert_close(own, parameter * layer.mask)
        assert not (own * ~layer.mask).any()  # what does not exist learns nothing


def test_neurons_may_have_unequal_numbers_of_synapses() -> None:
    """Here none at all, too: masks of the reference drop each by chance."""
    layer = SynapticDelays(20, 18, 1.0, max_delay_ms=9.0, fan_in=3).double()
    layer.mask = torch.zeros(18, 20, 1, dtype=torch.bool)
    layer.mask[5, :5], layer.mask[7, 3:5] = True, True
    layer.constrain()
    few, x = layer.few(), torch.randn(15, 4, 20).double()
    assert few is not None
    assert few.inputs.shape[1] == 5
    torch.testing.assert_close(layer(x), delayed_sum(x, layer.dense_kernel(), 15 + layer.extra_steps))


def test_only_training_of_sparse_layers_takes_few_synapses() -> None:
    class Doubled(SynapticDelays):
        """With a kernel of its own."""

        def dense_kernel(self) -> Tensor:
            return 2 * super().dense_kernel()

    make = partial(SynapticDelays, 20, 18, 1.0, max_delay_ms=9.0)
    assert make().few() is None
    assert make(fan_in=6).few() is None  # more than a quarter
    assert make(fan_in=3, delays="none").few() is None
    assert make(fan_in=3).eval().few() is None
    assert Doubled(20, 18, 1.0, max_delay_ms=9.0, fan_in=3).few() is None


def can(x: Tensor, taps: Tensor) -> bool:
    inputs = torch.zeros(taps.shape[1:], dtype=torch.long)
    return any(form.can(x, taps, inputs, 112) for form in sparse_sum._forms)


@WITH_NUMBA
def test_loops_are_for_few_synapses_of_layers_that_fill_a_vector() -> None:
    x = torch.zeros(100, 32, 256)
    assert can(x, torch.zeros(25, 256, 10))
    assert not can(x, torch.zeros(25, 256, 200))  # the sum by spectra costs less
    assert not can(x[..., :15], torch.zeros(25, 256, 1))
    assert not can(x, torch.zeros(25, 15, 10))
    assert not can(x.double(), torch.zeros(25, 256, 10))
    with torch.autocast("cpu", torch.bfloat16):
        assert not can(x, torch.zeros(25, 256, 10))
