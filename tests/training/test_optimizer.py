import re

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer, schedule_optimizer

SMALL = {"num_inputs": 4, "num_classes": 3, "hidden_size": 5, "max_delay_ms": 50, "tau_mem_ms": 20}


@pytest.mark.parametrize("neuron", ["lif", "plif"])
@pytest.mark.parametrize("delays", ["learned", "fixed", "none"])
def test_every_parameter_is_in_exactly_one_group(delays, neuron):
    network = DelaySNN(NetworkConfig(delays=delays, neuron=neuron, **SMALL))
    optimizer = make_optimizer(network, OptimizerConfig())
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in network.parameters())


def test_only_weights_decay():
    network = DelaySNN(NetworkConfig(**SMALL))
    optimizer = make_optimizer(network, OptimizerConfig(weight_decay=0.5))
    assert {g["name"]: g["weight_decay"] for g in optimizer.param_groups} == {
        "weights": 0.5,
        "norms": 0.0,
        "delays": 0.0,
    }


def test_one_adam_in_groups_equals_two_adams_bit_for_bit():
    torch.manual_seed(1)
    ours, theirs = (DelaySNN(NetworkConfig(dropout=0, **SMALL)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    config = OptimizerConfig(weight_decay=1e-2)
    one = make_optimizer(ours, config)
    delays = [layer.delay for layer in theirs.delay_layers()]
    rest = [p for p in theirs.parameters() if all(p is not d for d in delays)]
    norms = [p for block in theirs.blocks for p in block.norm.parameters()]
    weights = [p for p in rest if all(p is not n for n in norms)]
    groups = [{"params": weights, "weight_decay": 1e-2}, {"params": norms, "weight_decay": 0}]
    two = [torch.optim.Adam(groups, lr=5e-3), torch.optim.Adam(delays, lr=0.1)]
    for group in one.param_groups:
        group["lr"] = 0.1 if group["name"] == "delays" else 5e-3
    for _ in range(5):
        x = torch.randint(0, 2, (9, 2, 4)).float()
        for network, optimizers in ((ours, [one]), (theirs, two)):
            for optimizer in optimizers:
                optimizer.zero_grad()
            network(x).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
            network.constrain()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_norms_follow_the_weights_and_delays_their_own_way():
    network = DelaySNN(NetworkConfig(**SMALL))
    config = OptimizerConfig()
    optimizer = make_optimizer(network, config)
    schedule_optimizer(optimizer, config, epoch=75, num_epochs=150)
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert groups["norms"]["lr"] == groups["weights"]["lr"] != groups["delays"]["lr"]
    assert groups["delays"]["lr"] == pytest.approx(0.05)
    assert groups["delays"]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"weight_lr": 0.0}, "`weight_lr` must be above 0, got 0.0."),
        ({"delay_lr": -1.0}, "`delay_lr` must be above 0, got -1.0."),
        ({"weight_decay": -1.0}, "`weight_decay` must be at least 0, got -1.0."),
    ],
)
def test_wrong_rates_are_refused(wrong, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        OptimizerConfig(**wrong)
