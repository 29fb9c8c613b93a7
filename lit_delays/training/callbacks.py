"""What happens beside the gradient steps: the soft delays narrow, and the layers are watched."""

import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from typing_extensions import override

from lit_delays.errors import InputError
from lit_delays.snn.delays import DelayedLinear
from lit_delays.snn.kernels import INTERPOLATION
from lit_delays.snn.network import DelaySNN
from lit_delays.training.schedules import SIGMA_FLOOR, SigmaSchedule, sigma_at


class SigmaAnnealing(Callback):
    """Narrows the soft delays epoch by epoch, from half the delay window to a single time step.

    Training so sees long-range structure first and single delays later. Logged as ``sigma``.

    Args:
        schedule: Shape of the way down; constant stays at ``final`` from the start.
        start: Width in the first epoch, in time steps; null for half the window (the paper).
        final: Width at the end, in time steps, above 0.
        duration: Share of the epochs that the way takes, in (0, 1].

    Raises:
        InputError: If a value is out of its range, or ``final`` is too narrow for the kernel.

    Source:
        Hammouamri et al. (2023), Sec. 3.3. The reference ends after a quarter of the epochs and lets
        ``sigma - 0.27`` decay, so it starts 0.27 above half the window.
    """

    def __init__(
        self,
        schedule: SigmaSchedule = "exponential",
        start: float | None = None,
        final: float = 0.5,
        duration: float = 0.25,
    ) -> None:
        if final <= 0:
            raise InputError(f"`sigma.final` must be above 0 time steps, got {final}.")
        if start is not None and start < final:
            raise InputError(f"`sigma.start` must be at least `sigma.final` ({final}), got {start}.")
        if not 0 < duration <= 1:
            raise InputError(f"`sigma.duration` must be in (0, 1], got {duration}.")
        self.schedule, self.start, self.final, self.duration = schedule, start, final, duration

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        config = network_of(pl_module).config
        if config.kernel == "triangle" and self.final < INTERPOLATION:
            raise InputError(
                f"`sigma.final` must be at least {INTERPOLATION:.3f} time steps for `kernel: triangle`, which"
                f" could fall between two steps otherwise, got {self.final}."
            )

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = network_of(pl_module)
        if network.config.delays == "learned":
            network.set_sigma(self._sigma(trainer, network))

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = network_of(pl_module)
        if network.config.delays == "learned":
            pl_module.log("sigma", self._sigma(trainer, network))

    def _sigma(self, trainer: pl.Trainer, network: DelaySNN) -> float:
        assert trainer.max_epochs is not None
        return sigma_at(
            trainer.current_epoch,
            self.schedule,
            start=max(self.start or network.config.max_delay // 2 + SIGMA_FLOOR, self.final),
            final=self.final,
            num_epochs=int(self.duration * trainer.max_epochs),
        )


class LayerStatistics(Callback):
    """Logs per layer and epoch how far its delays moved and how large its weights are.

    ``delay_change/hidden1``.. is the mean |change| of a delay in the epoch, in time steps;
    ``abs_weight/hidden1``.. the mean |weight| of the synapses that exist.
    """

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        layers = named_delay_layers(network_of(pl_module))
        self._before = {
            name: layer.delay.detach().clone()
            for name, layer in layers.items()
            if layer.delay is not None and layer.delays == "learned"
        }

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name, layer in named_delay_layers(network_of(pl_module)).items():
            exists = slice(None) if layer.mask is None else layer.mask
            pl_module.log(f"abs_weight/{name}", layer.weight.detach()[exists].abs().mean())
            if name in self._before and layer.delay is not None:
                before = self._before[name].to(layer.delay)
                moved = (layer.delay.detach() - before)[exists].abs().mean()
                pl_module.log(f"delay_change/{name}", moved)
        self._before = {}

    @override
    def state_dict(self) -> dict[str, Any]:
        """The delays at the start of an epoch that the run was stopped in."""
        return {"before": self._before}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["before"]


class EpochLines(ProgressBar):
    """Prints a line an epoch, where output goes to a file: a bar would fill it with copies of itself."""

    SHOWN = ("train/loss", "train/acc", "val/loss", "val/acc", "sigma")

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()

    @override
    def disable(self) -> None:
        """Lightning's way to silence the ranks beside the first; they have nothing to say anyway."""

    @override
    def enable(self) -> None:
        """Nothing to switch on."""

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    @override
    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = trainer.callback_metrics
        shown = "  ".join(f"{name} {float(metrics[name]):.3f}" for name in self.SHOWN if name in metrics)
        seconds = time.monotonic() - self._started
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {shown}  {seconds:.1f} s", flush=True)


def network_of(module: pl.LightningModule) -> DelaySNN:
    """The delay network inside a LightningModule."""
    network = module.network
    assert isinstance(network, DelaySNN)
    return network


def named_delay_layers(network: DelaySNN) -> dict[str, DelayedLinear]:
    """Layers of synapses by name: ``hidden1``, ``hidden2``, ..., ``readout``."""
    *hidden, readout = network.delay_layers()
    return {f"hidden{index + 1}": layer for index, layer in enumerate(hidden)} | {"readout": readout}
