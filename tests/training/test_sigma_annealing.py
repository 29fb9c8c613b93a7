"""Widths that wait for the delays, and those of recurrent layers."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lit_delays.errors import InputError
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.synapses import RecurrentDelays, SynapticDelays
from lit_delays.training.callbacks.sigma_annealing import SigmaAnnealing
from lit_delays.training.schedules import decayed, sigma_at


class Module(torch.nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.logged = network, {}

    def log(self, name: str, value: Any) -> None:
        self.logged[name] = float(value)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.setattr(
        "lit_delays.training.callbacks.sigma_annealing.network_of", lambda module: module.network
    )
    config = NetworkConfig(num_inputs=4, num_classes=2, hidden_sizes=[5], recurrent=RecurrentDelays)
    return Module(Network(config))


def epoch_of(callback: SigmaAnnealing, module: Module, epoch: int, moved: dict[str, float]) -> None:
    trainer = SimpleNamespace(current_epoch=epoch, max_epochs=10)
    callback.on_train_epoch_start(trainer, module)
    for name, by in moved.items():
        module.network.named_synapses()[name].delay.data += by
    callback.on_train_epoch_end(trainer, module)


def test_a_layer_narrows_only_when_its_delays_have_settled(module: Module) -> None:
    callback = SigmaAnnealing("adaptive", start=8.0, duration=0.5)
    synapses = module.network.named_synapses()
    for epoch in range(4):
        epoch_of(callback, module, epoch, {"hidden1": 0.1, "readout": 2.0})
    epoch_of(callback, module, 4, {})
    way = partial(sigma_at, schedule="exponential", start=8.0, final=0.5)
    assert float(synapses["hidden1"].sigma) == pytest.approx(way(4, num_epochs=5))
    assert float(synapses["readout"].sigma) == pytest.approx(way(4, num_epochs=9))  # at the latest
    assert module.logged["sigma/readout"] > module.logged["sigma/hidden1"]
    assert module.logged["sigma"] == module.logged["sigma/readout"]
    epoch_of(callback, module, 9, {"readout": 2.0})
    assert float(synapses["readout"].sigma) == pytest.approx(0.5)


def test_it_goes_on_where_a_checkpoint_stopped(module: Module) -> None:
    first, second = (SigmaAnnealing("adaptive", start=8.0, duration=0.5) for _ in range(2))
    for epoch in range(3):
        epoch_of(first, module, epoch, {"hidden1": 0.1, "readout": 0.2})
    trainer = SimpleNamespace(current_epoch=3, max_epochs=10)
    first.on_train_epoch_start(trainer, module)
    second.load_state_dict(first.state_dict())
    assert second.state_dict()["settled"] == {"hidden1": 3, "hidden1_recurrent": 3, "readout": 3}
    assert second.state_dict()["before"].keys() == {"hidden1", "hidden1_recurrent", "readout"}


def test_recurrent_delays_have_a_width_of_their_own(module: Module) -> None:
    callback = SigmaAnnealing(recurrent_start=4.0, recurrent_decay=0.9)
    epoch_of(callback, module, 2, {})
    recurrent = module.network.named_synapses()["hidden1_recurrent"]
    assert float(recurrent.sigma) == pytest.approx(4.0 * 0.9**20)
    assert module.logged["sigma/hidden1_recurrent"] == pytest.approx(decayed(2, 4.0, 0.9, 10))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrent_start": -1.0}, "`sigma.recurrent_start` must be at least 0 time steps, got -1.0."),
        ({"recurrent_decay": 1.5}, "`sigma.recurrent_decay` must be in (0, 1], got 1.5."),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as error:
        SigmaAnnealing(**options)
    assert str(error.value) == message


def test_a_free_window_needs_a_start(module: Module) -> None:
    config = NetworkConfig(synapses=partial(SynapticDelays, max_delay_ms=None))
    free = Module(Network(config))
    with pytest.raises(InputError, match=r"`sigma\.start` must be given where `max_delay_ms` is null"):
        SigmaAnnealing().setup(SimpleNamespace(), free, "fit")
    SigmaAnnealing(start=8.0).setup(SimpleNamespace(), free, "fit")
