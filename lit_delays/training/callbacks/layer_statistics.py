"""How far the delays of every layer moved in an epoch, and how large its weights are."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import Callback
from torch import Tensor
from typing_extensions import override

from lit_delays.training.classifier import network_of


class LayerStatistics(Callback):
    """Logs per layer and epoch how far its delays moved and how large its weights are.

    ``delay_change/hidden1``.. is the mean |change| of a delay in the epoch, in time steps;
    ``abs_weight/hidden1``.. the mean |weight| of the synapses that exist; ``window/hidden1``.. the length of
    a window that follows its delays, in time steps.
    """

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._before = {name: delay.clone() for name, delay in _learned_delays(pl_module).items()}

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        layers, delays = network_of(pl_module).named_synapses(), _learned_delays(pl_module)
        for name, synapses in layers.items():
            weight, _ = synapses.whole_delays()
            exists = weight != 0
            pl_module.log(f"abs_weight/{name}", weight[exists].abs().mean())
            if synapses.window_is_free:
                pl_module.log(f"window/{name}", float(synapses.num_lags))
            if name in self._before:
                moved = (delays[name] - self._before[name].to(delays[name])).abs()
                has_weight = moved.shape == exists.shape  # else several synapses share a delay
                pl_module.log(f"delay_change/{name}", (moved[exists] if has_weight else moved).mean())
        self._before = {}

    @override
    def state_dict(self) -> dict[str, Any]:
        """The delays at the start of an epoch that the run was stopped in."""
        return {"before": self._before}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["before"]


def _learned_delays(module: pl.LightningModule) -> dict[str, Tensor]:
    layers = network_of(module).named_synapses().items()
    found = {name: synapses.learned_delay for name, synapses in layers}
    return {name: delay.detach() for name, delay in found.items() if delay is not None}
