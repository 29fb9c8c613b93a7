"""The soft delays narrow, epoch by epoch."""

import math
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import Callback
from torch import Tensor
from typing_extensions import override

from lit_delays.errors import InputError
from lit_delays.snn.network import RECURRENT, Network
from lit_delays.snn.synapses import Synapses
from lit_delays.training.classifier import network_of
from lit_delays.training.schedules import SIGMA_FLOOR, SigmaSchedule, decayed, sigma_at

SETTLED = 0.1  # mean change of a delay in an epoch, in units of sigma


class SigmaAnnealing(Callback):
    """Narrows the soft delays epoch by epoch, from half the delay window to a single time step.

    Training so sees long-range structure first and single delays later. Logged as ``sigma``, and by layer as
    ``sigma/hidden1``.. where layers differ.

    Args:
        schedule: Shape of the way down; constant stays at ``final`` from the start. ``adaptive`` is
            exponential, but a layer goes on only after epochs in which its delays moved by less than a tenth
            of its ``sigma`` in the mean, and at the latest so that it arrives with the last epoch.
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
        self._settled: dict[str, int] = {}  # epochs in which the delays of a layer moved little
        self._before: dict[str, Tensor] = {}  # delays at the start of the epoch

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for name, synapses in network_of(pl_module).named_synapses().items():
            if not synapses.learns_delays or name.endswith(RECURRENT):
                continue
            if synapses.window_is_free and self.start is None:
                raise InputError(
                    "`sigma.start` must be given where `max_delay_ms` is null, as there is no window to"
                    f" take half of in {name}; give a third of the longest lag to be seen, in time steps."
                )
            if self.final < synapses.min_sigma:
                raise InputError(
                    f"`sigma.final` must be at least {synapses.min_sigma:.3f} time steps for the kernel of"
                    f" {name}, which could fall between two steps otherwise, got {self.final}."
                )

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = network_of(pl_module)
        for name, synapses in _learned(network).items():
            synapses.sigma.fill_(self._sigma(trainer, network, name))
            assert synapses.learned_delay is not None
            if self.schedule == "adaptive":
                self._before[name] = synapses.learned_delay.detach().clone()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        learned = _learned(network_of(pl_module))
        sigmas = {name: self._sigma(trainer, network_of(pl_module), name) for name in learned}
        own = {name: sigma for name, sigma in sigmas.items() if not name.endswith(RECURRENT)}
        if own:
            pl_module.log("sigma", max(own.values()))
        if self.schedule == "adaptive" or len(own) < len(sigmas):  # else all are one
            for name, sigma in sigmas.items():
                pl_module.log(f"sigma/{name}", sigma)
        for name, before in self._before.items():
            after = learned[name].learned_delay
            assert after is not None
            moved = (after - before.to(after.device)).abs().mean()
            self._settled[name] = self._settled.get(name, 0) + int(moved < SETTLED * sigmas[name])
        self._before = {}

    @override
    def state_dict(self) -> dict[str, Any]:
        """How far the layers have come, and their delays at the start of an epoch that the run stopped in."""
        return {"settled": self._settled, "before": self._before}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._settled, self._before = state_dict["settled"], state_dict["before"]

    def _sigma(self, trainer: pl.Trainer, network: Network, name: str) -> float:
        """Width of the soft delays of a layer in this epoch."""
        epoch, num_epochs = trainer.current_epoch, trainer.max_epochs
        assert num_epochs is not None
        if name.endswith(RECURRENT):
            return decayed(epoch, self.recurrent_start, self.recurrent_decay, num_epochs)
        way = {
            "schedule": self.schedule,
            "start": max(self.start or network.num_lags // 2 + SIGMA_FLOOR, self.final),
            "final": self.final,
        }
        duration = int(self.duration * num_epochs)
        if self.schedule != "adaptive":
            return sigma_at(epoch, num_epochs=duration, **way)  # type: ignore[arg-type]
        latest = sigma_at(epoch, num_epochs=num_epochs - 1, **way)  # type: ignore[arg-type]
        return min(sigma_at(self._settled.get(name, 0), num_epochs=duration, **way), latest)  # type: ignore


def _learned(network: Network) -> dict[str, Synapses]:
    return {name: synapses for name, synapses in network.named_synapses().items() if synapses.learns_delays}
