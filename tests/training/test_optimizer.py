import re
from functools import partial
from typing import ClassVar

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.neurons import LIF, PLIF
from lit_delays.snn.synapses import SynapticDelays
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer, schedule_optimizer


def network(neuron=LIF, delays="learned", **options):
    return Network(
        NetworkConfig(
            num_inputs=4,
            num_classes=3,
            hidden_sizes=[5, 5],
            synapses=partial(SynapticDelays, delays=delays, max_delay_ms=50.0),
            neuron=partial(neuron, tau_mem_ms=20.0),
            **options,
        )
    )


@pytest.mark.parametrize("neuron", [LIF, PLIF])
@pytest.mark.parametrize("delays", ["learned", "fixed", "none"])
def test_every_parameter_is_in_exactly_one_group(delays, neuron):
    made = network(neuron, delays)
    optimizer = make_optimizer(made, OptimizerConfig())
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in made.parameters())


class Adaptive(LIF):
    parameter_groups: ClassVar = {"gain": "norms", "lag": "delays"}

    def __init__(self, num_neurons, time_step_ms, *, tau_mem_ms=20.0):
        super().__init__(num_neurons, time_step_ms, tau_mem_ms=tau_mem_ms)
        self.gain, self.lag, self.rest = (torch.nn.Parameter(torch.ones(num_neurons)) for _ in range(3))


def test_a_neuron_says_in_which_group_its_parameters_are():
    made = network(Adaptive)
    groups = {
        group["name"]: group["params"] for group in make_optimizer(made, OptimizerConfig()).param_groups
    }
    for name, parameter in (("norms", "gain"), ("delays", "lag"), ("weights", "rest")):
        own = getattr(made.layers[0].neuron, parameter)
        assert [group for group, held in groups.items() if any(own is one for one in held)] == [name]


def test_a_group_that_there_is_not_is_refused(monkeypatch):
    monkeypatch.setattr(Adaptive, "parameter_groups", {"gain": "gains"})
    sentence = "`Adaptive.parameter_groups` must name weights, norms or delays, got 'gains' for `gain`."
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        make_optimizer(network(Adaptive), OptimizerConfig())


def test_only_weights_decay():
    optimizer = make_optimizer(network(), OptimizerConfig(weight_decay=0.5))
    assert {g["name"]: g["weight_decay"] for g in optimizer.param_groups} == {
        "weights": 0.5,
        "norms": 0.0,
        "delays": 0.0,
    }


def test_one_adam_in_groups_equals_two_adams_bit_for_bit():
    torch.manual_seed(1)
    ours, theirs = (network(dropout=0) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    config = OptimizerConfig(weight_decay=1e-2)
    one = make_optimizer(ours, config)
    delays = [synapses.delay for synapses in theirs.named_synapses().values()]
    rest = [p for p in theirs.parameters() if all(p is not d for d in delays)]
    norms = [p for layer in theirs.layers for p in layer.norm.parameters()]
    weights = [p for p in rest if all(p is not n for n in norms)]
    groups = [{"params": weights, "weight_decay": 1e-2}, {"params": norms, "weight_decay": 0}]
    two = [torch.optim.Adam(groups, lr=5e-3), torch.optim.Adam(delays, lr=0.1)]
    for group in one.param_groups:
        group["lr"] = 0.1 if group["name"] == "delays" else 5e-3
    for _ in range(5):
        x = torch.randint(0, 2, (9, 2, 4)).float()
        for trained, optimizers in ((ours, [one]), (theirs, two)):
            for optimizer in optimizers:
                optimizer.zero_grad()
            trained(x).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
            trained.constrain()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_norms_follow_the_weights_and_delays_their_own_way():
    config = OptimizerConfig()
    optimizer = make_optimizer(network(), config)
    schedule_optimizer(optimizer, config, epoch=75, num_epochs=150)
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert groups["norms"]["lr"] == groups["weights"]["lr"] != groups["delays"]["lr"]
    assert groups["delays"]["lr"] == pytest.approx(0.05)
    assert groups["delays"]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize(("schedule", "rate"), [("cosine", 0.0025), ("constant", 0.005)])
def test_rates_of_weights_may_follow_a_cosine_or_stay(schedule, rate):
    config = OptimizerConfig(weight_schedule=schedule)
    optimizer = make_optimizer(network(), config)
    for epoch, expected in ((0, 0.005), (75, rate)):
        schedule_optimizer(optimizer, config, epoch, num_epochs=150)
        for group in optimizer.param_groups:
            assert group["betas"] == (0.9, 0.999)
            if group["name"] != "delays":
                assert group["lr"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"weight_schedule": "linear"},
            "`weight_schedule` must be one_cycle, cosine or constant, got 'linear'.",
        ),
        ({"weight_lr": 0.0}, "`weight_lr` must be above 0, got 0.0."),
        ({"delay_lr": -1.0}, "`delay_lr` must be above 0, got -1.0."),
        ({"weight_decay": -1.0}, "`weight_decay` must be at least 0, got -1.0."),
    ],
)
def test_wrong_rates_are_refused(wrong, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        OptimizerConfig(**wrong)
