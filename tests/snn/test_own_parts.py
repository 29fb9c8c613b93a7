"""Parts that somebody derives from ours, or writes in plain Python: they are themselves in every form."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_delays.deploy.deploy import deploy
from lit_delays.deploy.formats import safetensors_folder
from lit_delays.deploy.stream import Stream
from lit_delays.errors import InputError
from lit_delays.snn.kernels import Gaussian, Kernel, soft_kernel
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, PLIF, AdLIF, LeakyIntegrator, Neuron, State
from lit_delays.snn.neurons.base import run_neuron
from lit_delays.snn.operation import use
from lit_delays.snn.surrogates import ATan, Boxcar, Surrogate
from lit_delays.snn.synapses import Synapses, SynapticDelays


class SoftReset(LIF):
    """Takes something off the voltage, and has a current of its own."""

    def __init__(
        self,
        num_neurons: int,
        time_step_ms: float,
        *,
        reset: float,
        surrogate: Callable[[], Surrogate] = ATan,
    ) -> None:
        super().__init__(num_neurons, time_step_ms, tau_mem_ms=30.0, surrogate=surrogate)
        self.reset, self.offset = reset, nn.Parameter(torch.full((num_neurons,), 0.1))

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        v_mem = self.charge(current + self.offset, state)
        spikes = (v_mem >= self.v_threshold).to(v_mem)
        return spikes, {"v_mem": v_mem - self.reset * spikes}


class Awake(AdLIF):
    """Starts near its threshold."""

    def initial_state(self, current: Tensor) -> State:
        return {**super().initial_state(current), "u": torch.full_like(current, 0.9)}


class Waiting(Neuron):
    """Remembers whole numbers too, and has some that are not learned."""

    wait: Tensor

    def __init__(self, num_neurons: int, time_step_ms: float, longest: int = 3) -> None:
        super().__init__(num_neurons, time_step_ms)
        self.register_buffer("wait", torch.arange(num_neurons) % longest + 1)

    def initial_state(self, current: Tensor) -> State:
        return {"v_mem": torch.zeros_like(current), "left": torch.zeros_like(current, dtype=torch.long)}

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        v_mem, left = 0.8 * state["v_mem"] + current, state["left"]
        spikes = ((v_mem >= 1) & (left == 0)).to(current)
        left = torch.where(spikes > 0, self.wait, (left - 1).clamp(min=0))
        return spikes, {"v_mem": v_mem * (1 - spikes), "left": left}


class Fading(SynapticDelays):
    """Long delays weigh less."""

    def dense_kernel(self) -> Tensor:
        return super().dense_kernel() * 0.8 ** torch.arange(self.num_lags).view(-1, 1, 1)


class AlwaysSoft(SynapticDelays):
    """Its kernel has many taps in evaluation too."""

    def dense_kernel(self) -> Tensor:
        assert self.delay is not None
        return soft_kernel(self.weight, self.delay, self.sigma, self.num_lags, self.kernel)


class Biased(SynapticDelays):
    """A learned current in every step."""

    def __init__(
        self, num_inputs: int, num_outputs: int, time_step_ms: float, *, max_delay_ms: float
    ) -> None:
        super().__init__(num_inputs, num_outputs, time_step_ms, max_delay_ms=max_delay_ms)
        self.bias = nn.Parameter(torch.rand(num_outputs))


@pytest.mark.parametrize(
    "parts",
    [
        {"neuron": partial(SoftReset, reset=0.7)},
        {"neuron": partial(SoftReset, reset=0.7), "decision": "spike_count"},
        {"neuron": Awake},
        {"neuron": partial(Waiting, longest=2)},
        {"synapses": partial(Fading, max_delay_ms=50.0, num_synapses=2)},
        {"synapses": partial(AlwaysSoft, max_delay_ms=50.0)},
        {"synapses": partial(Biased, max_delay_ms=50.0)},
    ],
    ids=lambda parts: " ".join(getattr(it, "func", it).__name__ for it in parts.values() if callable(it)),
)
def test_a_part_of_ones_own_ships_as_itself(parts: dict[str, object]) -> None:
    config = NetworkConfig(num_inputs=6, num_classes=3, hidden_sizes=[9, 7], **parts)  # type: ignore[arg-type]
    network, x = Network(config).double().eval(), (torch.rand(15, 2, 6) < 0.3).double()
    for layer in list(network.named_layers().values())[:-1]:
        layer.norm.bias.data.uniform_(0.5, 1.5)  # type: ignore[operator]  # so that something fires
    with use(neuron="plain", layer="plain", soft_kernel="plain"):
        expected = network(x)
    assert expected.std() > 0
    stream = Stream(network)
    steps = [stream.step(counts) for counts in x[:, 0]] + list(stream.finish())
    forms = {"fast": network(x), "deployed": deploy(network)(x)}
    for made in forms.values():
        torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-9)
    mine = torch.stack([step.readout for step in steps])
    torch.testing.assert_close(mine, expected[:, 0], rtol=1e-9, atol=1e-9)
    assert NetworkConfig.of(config.plain) == config


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        (Neuron, "`Mine` must write `step`, not `forward`, which a stream does not run;"),
        (LIF, "`Mine` must write `step`, not `forward`"),
        (Synapses, "`Mine` must write `dense_kernel`, not `forward`, which does not ship;"),
        (SynapticDelays, "`Mine` must write `dense_kernel`, not `forward`"),
    ],
)
def test_a_part_that_would_be_another_one_in_a_stream_is_refused(base: type, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        type("Mine", (base,), {"forward": lambda self, x: x})


def test_a_state_without_names_is_refused() -> None:
    class Listed(Waiting):
        def initial_state(self, current: Tensor) -> State:
            return [current]  # type: ignore[return-value]

    sentence = "`Listed.initial_state` must give tensors by name, as a dict, got a list."
    with pytest.raises(InputError, match=re.escape(sentence)):
        Listed(2, 1.0)(torch.ones(3, 1, 2))


class Resonator(Neuron):
    """Has a complex state, complex numbers that it learns, and one tensor under two names."""

    def __init__(self, num_neurons: int, time_step_ms: float) -> None:
        super().__init__(num_neurons, time_step_ms)
        self.decay = nn.Parameter(torch.polar(torch.rand(num_neurons), torch.rand(num_neurons)))
        self.threshold = self.fallback = nn.Parameter(torch.rand(num_neurons))

    def initial_state(self, current: Tensor) -> State:
        return {"u": current * self.decay * 0}

    def step(self, current: Tensor, state: State) -> tuple[Tensor, State]:
        u = self.decay * state["u"] + current
        return (u.real >= self.threshold).to(current), {"u": u}


def test_complex_numbers_and_shared_ones_ship(tmp_path: Path) -> None:
    network = Network(NetworkConfig(num_inputs=4, num_classes=3, hidden_sizes=[5], neuron=Resonator)).eval()
    x = (torch.rand(12, 2, 4) < 0.4).float()
    safetensors_folder.save(network, tmp_path / "net")
    torch.testing.assert_close(safetensors_folder.load(tmp_path / "net")(x), network(x))
    decay = torch.tensor(network.named_layers()["hidden1"].neuron.constants()["decay"])
    assert decay.shape == (5, 2)


def test_an_equation_of_ones_own_is_no_node_of_nir() -> None:
    class Leakier(LeakyIntegrator):
        def charge(self, current: Tensor, state: State) -> Tensor:
            return 0.5 * super().charge(current, state)

    class Named(SoftReset):
        def nir(self, time_step_s: float) -> tuple[str, dict[str, Tensor | float]]:
            return "CubaLIF", {}

    class Constant(PLIF):
        """With another default alone."""

    for neuron in (SoftReset(2, 1.0, reset=0.5), Leakier(2, 1.0)):
        with pytest.raises(InputError, match="has no node for the equation of `"):
            neuron.nir(0.001)
    assert Named(2, 1.0, reset=0.5).nir(0.001)[0] == "CubaLIF"
    assert Constant(2, 1.0).nir(0.001)[0] == "LIF"


def test_tables_have_what_a_subclass_has_learned() -> None:
    constants = SoftReset(2, 10.0, reset=0.5).constants()
    assert constants.pop("offset") == pytest.approx([0.1, 0.1])
    assert constants == {"leak": pytest.approx(1 / 3), "v_threshold": 1.0}
    assert PLIF(2, 10.0, tau_mem_ms=40.0).constants() == {"leak": pytest.approx(0.25), "v_threshold": 1.0}


class Flat(Surrogate):
    """Answers in True and False."""

    def derivative(self, excess: Tensor) -> Tensor:
        return (excess > -0.5) & (excess <= 0.5)


@pytest.mark.parametrize("cls", [LIF, PLIF, AdLIF])
def test_a_surrogate_may_answer_in_true_and_false(cls: type[Neuron]) -> None:
    current = torch.randn(9, 2, 4, dtype=torch.float64, requires_grad=True)
    grads: list[Tensor] = []
    for surrogate in (Flat, Boxcar):
        torch.manual_seed(0)
        neuron = partial(cls, surrogate=surrogate)(4, 4.0)  # type: ignore[call-arg]
        neuron = neuron.double()
        for run in (run_neuron, run_neuron.plain):
            grads += torch.autograd.grad(run(neuron, current).sum(), current)
    for grad in grads[1:]:
        torch.testing.assert_close(grad, grads[0], rtol=1e-9, atol=1e-9)


class Squared(Gaussian):
    """Another shape, and the slope of its parent, which is not its own."""

    def shape(self, distance: Tensor, sigma: Tensor) -> Tensor:
        return super().shape(distance, sigma) ** 2


def _soft_kernel(sigma: Tensor, num_lags: int, kernel: Kernel, weight: Tensor, delay: Tensor) -> Tensor:
    return soft_kernel(weight, delay, sigma, num_lags, kernel)


class Unnormalised(Gaussian):
    """Taps that do not sum to one."""

    def taps(self, delay: Tensor, sigma: Tensor, num_lags: int) -> Tensor:
        return 3 * super().taps(delay, sigma, num_lags)


@pytest.mark.parametrize("kernel", [Squared(), Unnormalised()], ids=lambda kernel: type(kernel).__name__)
def test_a_kernel_that_changes_a_part_of_ours_keeps_its_numbers_and_gradients(kernel: Kernel) -> None:
    weight = torch.randn(2, 3, 1, dtype=torch.float64, requires_grad=True)
    delay = (8 * torch.rand(2, 3, 1, dtype=torch.float64)).requires_grad_()
    settings = torch.tensor(2.0, dtype=torch.float64), 9, kernel
    assert torch.autograd.gradcheck(partial(_soft_kernel, *settings), (weight, delay))
    with use(soft_kernel="plain"):
        expected = soft_kernel(weight, delay, *settings)
    torch.testing.assert_close(soft_kernel(weight, delay, *settings), expected)
