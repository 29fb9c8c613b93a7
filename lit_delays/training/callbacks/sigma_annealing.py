"""The soft delays narrow, epoch by epoch."""

import math

import lightning.pytorch as pl
from lightning.pytorch import Callback
from typing_extensions import override

from lit_delays.errors import InputError
from lit_delays.snn.network import RECURRENT, Network
from lit_delays.training.classifier import network_of
from lit_delays.training.schedules import SIGMA_FLOOR, SigmaSchedule, decayed, sigma_at


class SigmaAnnealing(Callback):
    """Narrows the soft delays epoch by epoch, from half the delay window to a single time step.

    Training so sees long-range structure first and single delays later. Logged as ``sigma``.

    Args:
        schedule: Shape of the way down; constant stays at ``final`` from the start.
        start: Width in the first epoch, in time steps; null for half the longest window (the paper).
        final: Width at the end, in time steps, above 0.
        duration: Share of the epochs that the way takes, in (0, 1].
        recurrent_start: Width of recurrent delays in the first epoch, in time steps, at least 0.
        recurrent_decay: What is left of it after each hundredth of the epochs, in (0, 1].

    Raises:
        InputError: If a value is out of its range, or ``final`` is too narrow for the kernel of a layer.

    Source:
        Recurrent delays: the code of Queant et al. (2025), https://arxiv.org/abs/2509.24852. All others:
        Hammouamri et al. (2023), Sec. 3.3. The reference ends after a quarter of the epochs and lets
        ``sigma - 0.27`` decay, so it starts 0.27 above half the window.
    """

    def __init__(
        self,
        schedule: SigmaSchedule = "exponential",
        start: float | None = None,
        final: float = 0.5,
        duration: float = 0.25,
        recurrent_start: float = 10.0,
        recurrent_decay: float = 0.95,
    ) -> None:
        if final <= 0:
            raise InputError(f"`sigma.final` must be above 0 time steps, got {final}.")
        if start is not None and start < final:
            raise InputError(f"`sigma.start` must be at least `sigma.final` ({final}), got {start}.")
        if not 0 < duration <= 1:
            raise InputError(f"`sigma.duration` must be in (0, 1], got {duration}.")
        if not 0 <= recurrent_start < math.inf:
            raise InputError(f"`sigma.recurrent_start` must be at least 0 time steps, got {recurrent_start}.")
        if not 0 < recurrent_decay <= 1:
            raise InputError(f"`sigma.recurrent_decay` must be in (0, 1], got {recurrent_decay}.")
        self.schedule, self.start, self.final, self.duration = schedule, start, final, duration
        self.recurrent_start, self.recurrent_decay = recurrent_start, recurrent_decay

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for name, synapses in network_of(pl_module).named_synapses().items():
            is_recurrent = name.endswith(RECURRENT)
            if synapses.learns_delays and not is_recurrent and self.final < synapses.min_sigma:
                raise InputError(
                    f"`sigma.final` must be at least {synapses.min_sigma:.3f} time steps for the kernel of"
                    f" {name}, which could fall between two steps otherwise, got {self.final}."
                )

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = network_of(pl_module)
        network.set_sigma(self._sigma(trainer, network), self._recurrent_sigma(trainer))

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = network_of(pl_module)
        if network.learns_delays:
            pl_module.log("sigma", self._sigma(trainer, network))
        learned = [name for name, it in network.named_synapses().items() if it.learns_delays]
        if any(name.endswith(RECURRENT) for name in learned):
            pl_module.log("sigma/recurrent", self._recurrent_sigma(trainer))

    def _recurrent_sigma(self, trainer: pl.Trainer) -> float:
        assert trainer.max_epochs is not None
        return decayed(trainer.current_epoch, self.recurrent_start, self.recurrent_decay, trainer.max_epochs)

    def _sigma(self, trainer: pl.Trainer, network: Network) -> float:
        assert trainer.max_epochs is not None
        return sigma_at(
            trainer.current_epoch,
            self.schedule,
            start=max(self.start or network.num_lags // 2 + SIGMA_FLOOR, self.final),
            final=self.final,
            num_epochs=int(self.duration * trainer.max_epochs),
        )
