"""The fused neurons are the plain loops over their steps, with their gradients."""

from copy import deepcopy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lit_delays.components import subclasses
from lit_delays.snn.fast.normed_lif import _can as can_fuse_norm
from lit_delays.snn.network import Layer, Network, layer_output
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import (
    LIF,
    PLIF,
    CSiLIF,
    Heaviside,
    LeakyIntegrator,
    Neuron,
    SynapticFilter,
    TwoStateNeuron,
)
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.neurons.readouts import readout_of
from lit_delays.snn.operation import use
from lit_delays.snn.surrogates import Surrogate
from lit_delays.snn.synapses import SynapticDelays

STEPS, SAMPLES, NEURONS = 12, 3, 5
OURS = [cls for cls in subclasses(Surrogate) if cls.__module__.startswith("lit_delays.")]
SURROGATES = sorted(OURS, key=lambda cls: cls.__name__)
each_surrogate = pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda cls: cls.__name__)


def currents(steps: int = STEPS) -> Tensor:
    return torch.randn(steps, SAMPLES, NEURONS, dtype=torch.float64, requires_grad=True)


def same(neuron: Neuron, current: Tensor) -> None:
    """The two forms agree in their values and in their gradients for the currents and what is learned."""
    neuron, inputs = neuron.double(), (current, *neuron.double().parameters())
    ys = [run_neuron.plain(neuron, current), run_neuron(neuron, current)]
    torch.testing.assert_close(ys[1], ys[0], rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(ys[0])
    pairs = (torch.autograd.grad(y, inputs, grad) for y in ys)
    for theirs, mine in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tau", [1.0, 1.005, 3.3])
@each_surrogate
def test_a_fused_neuron_is_the_plain_one(surrogate: type[Surrogate], tau: float) -> None:
    same(LIF(NEURONS, 1.0, tau_mem_ms=tau, v_threshold=0.8, surrogate=surrogate), currents())


@each_surrogate
def test_a_learned_time_constant_gets_the_same_gradient(surrogate: type[Surrogate]) -> None:
    same(PLIF(NEURONS, 1.0, tau_mem_ms=2.5, v_threshold=0.8, surrogate=surrogate), currents())
    same(LeakyIntegrator(NEURONS, 1.0, tau_mem_ms=2.5, learn_tau=True), currents())


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 9), tau=st.floats(1.0, 99.0), tau_synapse=st.floats(1.0, 9.0))
def test_filters_are_the_plain_ones_for_any_time_constant(steps: int, tau: float, tau_synapse: float) -> None:
    spikes = (currents(steps) > 0).double().requires_grad_()
    same(LeakyIntegrator(NEURONS, 1.0, tau_mem_ms=tau), currents(steps))
    same(SynapticFilter(NEURONS, 1.0, tau_ms=tau_synapse), spikes)


TWO_STATES = [cls for cls in subclasses(TwoStateNeuron) if cls.__module__.startswith("lit_delays.")]


@pytest.mark.parametrize("time_step_ms", [1.0, 4.0])
@pytest.mark.parametrize("cls", TWO_STATES, ids=lambda cls: cls.__name__)
def test_one_scan_is_the_plain_loop_of_every_neuron_with_two_states(
    cls: type[Neuron], time_step_ms: float
) -> None:
    neuron, current = cls(NEURONS, time_step_ms), 20 * torch.randn(40, SAMPLES, NEURONS).double()
    assert 0.005 < neuron.double()(current).mean() < 0.9
    same(neuron, current.requires_grad_())


@pytest.mark.parametrize("cls", TWO_STATES, ids=lambda cls: cls.__name__)
def test_a_neuron_is_the_same_in_milliseconds_at_any_time_step(cls: type[Neuron]) -> None:
    made = []
    for time_step_ms in (0.5, 1.0):
        torch.manual_seed(0)
        neuron = cls(NEURONS, time_step_ms)
        tau_ms = [
            -time_step_ms / neuron.coefficients().ww.abs().log(),
            readout_of(neuron, 1, False).tau_mem_ms,
        ]
        made.append([torch.as_tensor(value) for value in tau_ms])
    if cls is not CSiLIF:  # whose second state is half of a complex one
        torch.testing.assert_close(made[0][0], made[1][0], rtol=0.02, atol=0.0)
    assert made[0][1] == made[1][1]


def test_linear_filters_have_the_gradients_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(LeakyIntegrator(NEURONS, 1.0, tau_mem_ms=2.5), (currents(5),))
    assert torch.autograd.gradcheck(SynapticFilter(NEURONS, 1.0, tau_ms=2.5), (currents(5),))


def layer(surrogate: type[Surrogate], norm: nn.Module | None = None) -> Layer:
    neuron = PLIF(NEURONS, 1.0, tau_mem_ms=2.5, v_threshold=0.8, surrogate=surrogate)
    norm = nn.BatchNorm1d(NEURONS) if norm is None else norm
    return Layer(SynapticDelays(2, NEURONS, 1.0, max_delay_ms=3.0), norm, neuron).double()


@each_surrogate
@pytest.mark.parametrize("layout", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("lengths", [None, torch.arange(SAMPLES) + 2], ids=["equal", "ragged"])
def test_norm_and_neurons_as_one_are_the_two(
    surrogate: type[Surrogate], layout: tuple[int, int, int], lengths: Tensor | None
) -> None:
    plain = layer(surrogate)
    plain.norm.weight.data.copy_(torch.rand(NEURONS) - 0.3)
    plain.norm.bias.data.copy_(torch.rand(NEURONS))
    fused = deepcopy(plain)
    shape = [(STEPS, SAMPLES, NEURONS)[layout.index(axis)] for axis in range(3)]
    x = (3 + 2 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
    current, mask = x.permute(layout), torch.randint(0, 3, (1, SAMPLES, NEURONS)).double()
    assert can_fuse_norm(fused, current, mask, lengths)
    outputs = [
        form(one, current, mask, lengths)
        for form, one in ((layer_output.plain, plain), (layer_output, fused))
    ]
    assert torch.equal(*outputs)
    assert 0 < (outputs[0] > 0).double().mean() < 1
    grad = torch.randn_like(outputs[0])
    pairs = [
        torch.autograd.grad(y, (x, one.norm.weight, one.norm.bias, one.neuron.leak_logit), grad)
        for y, one in zip(outputs, (plain, fused), strict=True)
    ]
    for theirs, mine in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    for theirs, mine in zip(*(one.norm.state_dict().values() for one in (plain, fused)), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_norms_that_are_not_the_plain_one_in_training_are_not_fused() -> None:
    def can(norm: nn.Module, x: Tensor) -> bool:
        return can_fuse_norm(layer(SURROGATES[0], norm).float(), x, torch.ones(1, 3, NEURONS))

    x, norm = torch.randn(4, 3, NEURONS), nn.BatchNorm1d(NEURONS)
    assert can(norm, x)
    assert not can(nn.SyncBatchNorm(NEURONS), x)
    assert not can(nn.BatchNorm1d(NEURONS, affine=False), x)
    assert not can(nn.BatchNorm1d(NEURONS, track_running_stats=False), x)
    assert not can(nn.BatchNorm1d(NEURONS, momentum=None), x)
    assert not can(norm, x.bfloat16())
    assert not can(norm, x[:1, :1])
    assert not can_fuse_norm(
        layer(SURROGATES[0]).float(), x, torch.ones(1, 3, NEURONS), torch.tensor([1, 0, -1])
    )
    assert not can(norm.eval(), x)


def test_only_neurons_that_have_a_fused_form_are_fused_with_their_norm() -> None:
    class MyLIF(LIF):
        """With an equation of its own, perhaps."""

    x, mask = torch.randn(4, 3, NEURONS), torch.ones(1, 3, NEURONS)
    for neuron in (LeakyIntegrator(NEURONS, 1.0), Heaviside(NEURONS, 1.0), MyLIF(NEURONS, 1.0)):
        made = layer(SURROGATES[0]).float()
        made.neuron = neuron
        assert not can_fuse_norm(made, x, mask)


@pytest.mark.parametrize("part", ["norm", "neuron"])
@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_hooks_on_norm_and_neuron_fire_in_training(part: str, kind: str) -> None:
    made, calls = layer(SURROGATES[0]).float(), []
    getattr(getattr(made, part), f"register_{kind}_hook")(lambda *_: calls.append(kind))
    made(torch.rand(6, 3, 2)).sum().backward()
    assert calls


def test_global_hooks_fire_in_training() -> None:
    made, seen = layer(SURROGATES[0]).float(), []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module)))
    try:
        made(torch.rand(6, 3, 2))
    finally:
        handle.remove()
    assert {nn.BatchNorm1d, PLIF} <= set(seen)


def test_a_subclass_runs_its_own_step() -> None:
    class Silent(LIF):
        """Never spikes."""

        def step(self, current, state):  # type: ignore[no-untyped-def]
            return torch.zeros_like(current), state

    neuron = Silent(NEURONS, 1.0)
    assert not neuron(currents() + 9).any()
    made = layer(SURROGATES[0]).float()
    made.neuron = neuron
    assert not made(torch.ones(6, 3, 2)).any()


def test_currents_in_any_layout_give_the_same_spikes() -> None:
    x, neuron = currents().detach().permute(2, 0, 1), LIF(NEURONS, 1.0, tau_mem_ms=3.3, v_threshold=0.8)
    assert torch.equal(run_neuron(neuron, x), run_neuron.plain(neuron, x))


def small(**changes: object) -> Network:
    parts = {"synapses": partial(SynapticDelays, max_delay_ms=90.0), "neuron": partial(PLIF, tau_mem_ms=12.0)}
    sizes = {"num_inputs": 6, "num_classes": 3, "hidden_sizes": [16, 16]}
    return Network(NetworkConfig(**sizes | parts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("max_delay_ms", [10.0, 20.0, 90.0])
@pytest.mark.parametrize("form", ["plain", "spectral"])
def test_under_autocast_a_network_trains_and_sums_are_float32_for_any_window(
    max_delay_ms: float, form: str
) -> None:
    network, x = small(synapses=partial(SynapticDelays, max_delay_ms=max_delay_ms)), torch.rand(20, 4, 6)
    seen = []
    for made in network.named_synapses().values():
        made.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16), use(delayed_sum=form):
        output = network(x)
    assert set(seen) == {torch.float32}
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", ["plain", "spectral"])
def test_a_network_trains_in_true_double_and_half_precision(dtype: torch.dtype, form: str) -> None:
    network, x = small().to(dtype), torch.rand(20, 4, 6)
    with use(delayed_sum=form):
        output = network(x)
    assert output.dtype == dtype
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch.compile looks at it itself
def test_a_compiled_network_gives_the_same_numbers() -> None:
    network, x = small().eval(), torch.rand(20, 4, 6)
    compiled = torch.compile(network, backend="aot_eager")  # needs no compiler on this machine
    torch.testing.assert_close(compiled(x), network(x))


@pytest.mark.parametrize("neuron", [LIF, Heaviside])
def test_gradients_of_single_samples_by_torch_func_are_those_of_autograd(neuron: type[Neuron]) -> None:
    network, x = small(neuron=neuron).double().eval(), torch.rand(20, 4, 6, dtype=torch.float64)
    parameters = {name: value.detach() for name, value in network.named_parameters()}

    def loss(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        readout: Tensor = torch.func.functional_call(network, parameters, (sample[:, None],))
        return readout.square().sum()

    by_func = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(parameters, x)
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(by_func[name].sum(dim=0), parameter.grad, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("part", ["neuron", "soft_kernel", "delayed_sum"])
def test_second_derivatives_are_refused_where_a_fused_form_has_none(part: str) -> None:
    forms = {name: "plain" for name in ("neuron", "layer", "soft_kernel", "delayed_sum") if name != part}
    forms |= {"delayed_sum": "spectral"} if part == "delayed_sum" else {}  # too small to be chosen
    network = small(neuron=LIF)
    with use(**forms):
        (grad,) = torch.autograd.grad(
            network(torch.rand(20, 4, 6)).square().sum(), network.layers[0].synapses.weight, create_graph=True
        )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
