"""The layers of the network, where the golden trajectories cannot look: they run without dropout."""

import json
import re
from functools import partial

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.inspect.summary import count_parameters, describe
from lit_delays.snn.network import Layer, Network, make_layer
from lit_delays.snn.network_config import LayerConfig, NetworkConfig
from lit_delays.snn.neurons import LIF, PLIF, Heaviside, LeakyIntegrator, RawCurrent, ReLU
from lit_delays.snn.operation import use
from lit_delays.snn.surrogates import ATan
from lit_delays.snn.synapses import SynapticDelays


def layer(dropout: float = 0.5, num_inputs: int = 4, **options: object) -> Layer:
    return make_layer(NetworkConfig(dropout=dropout, **options), 0, num_inputs, 64)  # type: ignore[arg-type]


def output(training: bool = True, drive: float = 50.0) -> torch.Tensor:
    """Output of neurons that fire at every step."""
    made = layer().train(training)
    made.synapses.weight.data.fill_(drive)
    made.norm.weight.data.zero_()
    made.norm.bias.data.fill_(drive)
    return made(torch.ones(10, 3, 4))


def test_a_neuron_is_dropped_for_a_whole_sample() -> None:
    spikes = output()
    assert torch.equal(spikes, spikes[:1].expand_as(spikes))
    assert set(spikes.unique().tolist()) == {0.0, 2.0}


def test_every_sample_drops_its_own_neurons() -> None:
    spikes = output()
    assert not torch.equal(spikes[0, 0], spikes[0, 1])


def test_nothing_is_dropped_in_evaluation() -> None:
    assert output(training=False).unique().tolist() == [1.0]


def test_a_layer_keeps_two_tensors_for_its_gradient_its_input_and_its_current() -> None:
    x, kept = torch.rand(50, 8, 64), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    made = layer(0.4, 64, synapses=partial(SynapticDelays, max_delay_ms=50.0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), use(delayed_sum="spectral"):
        made(x)
    others = (2 + made.synapses.num_lags) * made.synapses.weight.numel()  # weight, delay, kernel
    assert sum(kept.values()) - others < 1.05 * (50 + 52) * 8 * 64


def test_every_layer_may_have_a_size_neurons_and_synapses_of_its_own() -> None:
    fixed = partial(SynapticDelays, delays="fixed", max_delay_ms=50.0)
    config = NetworkConfig(
        num_inputs=6,
        num_classes=3,
        hidden_sizes=[8, 16, 4],
        neuron=partial(LIF, tau_mem_ms=20.0),
        layers=[None, LayerConfig(neuron=partial(PLIF, tau_mem_ms=30.0)), LayerConfig(synapses=fixed)],
    )
    network = Network(config)
    assert [layer.neuron.num_neurons for layer in network.layers] == [8, 16, 4]
    assert [type(layer.neuron) for layer in network.layers] == [LIF, PLIF, LIF]
    assert [layer.synapses.num_lags for layer in network.layers] == [25, 25, 5]
    assert [layer.synapses.delay_kind for layer in network.layers] == ["learned", "learned", "fixed"]
    assert network(torch.rand(10, 2, 6)).shape == (10 + 12 + 12 + 2 + 12, 2, 3)
    assert NetworkConfig.of(json.loads(json.dumps(config.plain))) == config


READOUTS = [
    (LIF, LeakyIntegrator, LIF),
    (PLIF, LeakyIntegrator, PLIF),
    (Heaviside, RawCurrent, Heaviside),
    (ReLU, RawCurrent, ReLU),
]


@pytest.mark.parametrize(("neuron", "readout", "counted"), READOUTS)
def test_the_readout_belongs_to_the_neurons(neuron: type, readout: type, counted: type) -> None:
    sizes = {"num_inputs": 3, "num_classes": 2, "hidden_sizes": [4]}
    chosen = partial(neuron, tau_mem_ms=33.0) if neuron in (LIF, PLIF) else neuron
    never_fires = Network(NetworkConfig(**sizes, neuron=chosen)).readout.neuron
    fires = Network(NetworkConfig(**sizes, neuron=chosen, decision="spike_count")).readout.neuron
    assert (type(never_fires), type(fires)) == (readout, counted)
    assert getattr(fires, "v_threshold", 2.0) == 2.0
    assert getattr(never_fires, "tau_mem_ms", 33.0) == 33.0
    assert getattr(never_fires, "learn_tau", False) == (neuron is PLIF)


def neuron(cls: type, **options: object) -> dict[str, object]:
    return {"neuron": partial(cls, **options)}


def synapses(**options: object) -> dict[str, object]:
    return {"synapses": partial(SynapticDelays, **options)}


ONE_STEP = "must be at least one time step (10 ms), got"
WRONG = [
    ({"hidden_sizes": []}, "`hidden_sizes` must be one or more numbers of at least 1, got []."),
    ({"hidden_sizes": [4, 0]}, "`hidden_sizes` must be one or more numbers of at least 1, got [4, 0]."),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1), got 1.0."),
    ({"norm": "layer"}, "`norm` must be batch or none, got layer."),
    ({"time_step_ms": float("nan")}, "`time_step_ms` must be above 0 ms, got nan."),
    ({"synapse_tau_ms": 5.0}, f"`synapse_tau_ms` {ONE_STEP} 5."),
    ({"layers": [None] * 3}, "`layers` must be at most 2 entries, one a layer, got [None, None, None]."),
    (neuron(LIF, tau_mem_ms=5.0), f"`tau_mem_ms` {ONE_STEP} 5."),
    (neuron(LIF, tau_mem_ms=float("inf")), f"`tau_mem_ms` {ONE_STEP} inf."),
    (
        neuron(PLIF, tau_mem_ms=10.0),
        "`tau_mem_ms` must be above one time step (10 ms) where it is learned, got 10.",
    ),
    (neuron(LIF, v_threshold=0.0), "`v_threshold` must be above 0, got 0."),
    (neuron(LIF, surrogate=partial(ATan, slope=-1.0)), "`slope` must be above 0, got -1."),
    (synapses(max_delay_ms=9.0), f"`max_delay_ms` {ONE_STEP} 9."),
    (synapses(num_synapses=0), "`num_synapses` must be at least 1, got 0."),
    (
        synapses(fan_in=500),
        "`fan_in` must be between 1 and the 140 possible synapses of a neuron (or null for all), got 500.",
    ),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_values_out_of_their_range_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Network(NetworkConfig(**wrong))  # type: ignore[arg-type]


def test_without_a_norm_every_neuron_has_a_bias():
    config = NetworkConfig(num_inputs=16, hidden_sizes=[400, 3], norm="none")
    network = Network(config)
    first, second = (layer.synapses for layer in network.layers)
    assert 0.2 < first.bias.abs().max() <= 0.25  # of 16 inputs
    assert second.bias.abs().max() <= 0.05
    silence = torch.zeros(2, 3, 400)
    torch.testing.assert_close(network.layers[1].synapses(silence), second.bias.expand(14, 3, 3))
    assert "no norm, " in describe(network)
    assert second.bias.requires_grad
    assert count_parameters(network) == 2 * (16 * 400 + 400 * 3 + 3 * 20) + 400 + 3


def test_synapses_that_have_a_bias_keep_it():
    class Biased(SynapticDelays):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            self.bias = torch.nn.Parameter(torch.full((self.num_outputs,), 7.0))

    network = Network(NetworkConfig(hidden_sizes=[3], synapses=Biased, norm="none"))
    assert network.layers[0].synapses.bias.tolist() == [7, 7, 7]
