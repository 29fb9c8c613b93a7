"""The LightningModule: a delay network that learns to classify spike trains.

Shape letters: T steps, B samples, C classes.
"""

from typing import Protocol

import lightning.pytorch as pl
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Accuracy, MeanMetric, Metric
from typing_extensions import override

from lit_delays.snn.decisions import class_scores
from lit_delays.snn.network import DelaySNN, NetworkConfig
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer, schedule_optimizer

# so that checkpoints made without the command line load with weights_only=True
torch.serialization.add_safe_globals([NetworkConfig, OptimizerConfig])


class Batch(Protocol):
    """What the network is fed: spikes, and the class of every sample, or the share of every class."""

    labels: Tensor

    def counts(self) -> Tensor:
        """Spikes per time step, sample and channel, shape ``(T, B, I)``."""
        ...


class DelayClassifier(pl.LightningModule):
    """Trains a delay network with the paper's recipe.

    Every validation number is that of the deployed network: whole delays, one tap a synapse.

    Args:
        network: Size and parts of the network.
        optimizer: Learning rates of the weights and of the delays.

    Logged per epoch: ``train/loss``, ``train/acc``, ``val/loss``, ``val/acc``, ``lr/weights``, ``lr/delays``,
    ``beta1``, and ``firing_rate/hidden1``.. in spikes per second and neuron, measured in validation.

    Source:
        Hammouamri et al. (2023), Sec. 3 and 4. Accuracy is exact over all samples, where the reference
        averages over batches.
    """

    def __init__(
        self,
        network: NetworkConfig = NetworkConfig(),  # noqa: B008  (frozen)
        optimizer: OptimizerConfig = OptimizerConfig(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = DelaySNN(network)
        self.optimizer_config = optimizer
        self.accuracy = nn.ModuleDict(
            {
                f"{stage}_acc": Accuracy(task="multiclass", num_classes=network.num_classes)
                for stage in ("train", "val", "test")
            }
        )
        self.losses = nn.ModuleDict(
            {f"{stage}_loss": MeanMetric(nan_strategy="disable") for stage in ("train", "val", "test")}
        )
        self.firing_rates = nn.ModuleList(MeanMetric() for _ in range(network.num_hidden_layers))

    @override
    def forward(self, counts: Tensor) -> Tensor:
        """Scores of every class, shape ``(B, C)``, for counts ``(T, B, I)``."""
        return class_scores(self.network(counts), self.network.config.decision)

    @override
    def training_step(self, batch: Batch) -> Tensor:
        return self._step("train", self(batch.counts()), batch.labels)

    @override
    def validation_step(self, batch: Batch) -> None:
        readout = self.network(batch.counts(), watch=self._observe)
        scores = class_scores(readout, self.network.config.decision)
        self._step("val", scores, batch.labels)
        for index, rate in enumerate(self.firing_rates):
            self.log(f"firing_rate/hidden{index + 1}", rate, on_epoch=True)  # type: ignore[arg-type]

    @override
    def test_step(self, batch: Batch) -> None:
        self._step("test", self(batch.counts()), batch.labels)

    @override
    def predict_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Predicted classes and labels, both ``(B,)``."""
        return self(batch.counts()).argmax(dim=-1), batch.labels

    def _step(self, stage: str, scores: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(scores, labels)
        accuracy, mean_loss = self.accuracy[f"{stage}_acc"], self.losses[f"{stage}_loss"]
        assert isinstance(accuracy, Metric)
        assert isinstance(mean_loss, Metric)
        accuracy.update(scores, labels if labels.ndim == 1 else labels.argmax(dim=-1))
        mean_loss.update(loss.detach(), weight=len(labels))
        show = {"on_step": False, "on_epoch": True, "batch_size": len(labels), "prog_bar": True}
        self.log(f"{stage}/loss", mean_loss, **show)  # type: ignore[arg-type]
        self.log(f"{stage}/acc", accuracy, **show)  # type: ignore[arg-type]
        return loss

    def _observe(self, layer: int, spikes: Tensor) -> None:
        steps_per_second = 1000 / self.network.config.time_step_ms
        metric = self.firing_rates[layer]
        assert isinstance(metric, Metric)
        metric.update(spikes.float().mean() * steps_per_second, weight=spikes.shape[1])

    @override
    def configure_optimizers(self) -> torch.optim.Adam:
        return make_optimizer(self.network, self.optimizer_config)

    @override
    def on_train_epoch_start(self) -> None:
        """Set the rates of this epoch: no scheduler has a state that a resumed run could lose."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        num_epochs = self.trainer.max_epochs
        assert num_epochs is not None
        schedule_optimizer(optimizer.optimizer, self.optimizer_config, self.current_epoch, num_epochs)

    @override
    def on_train_epoch_end(self) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        for group in optimizer.param_groups:
            if group["name"] != "norms":  # theirs is that of the weights
                self.log(f"lr/{group['name']}", group["lr"])
            if group["name"] == "weights":
                self.log("beta1", group["betas"][0])

    @override
    def optimizer_step(self, *args: object, **kwargs: object) -> None:
        super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]
        self.network.constrain()
