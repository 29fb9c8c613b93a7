"""The LightningModule: a delay network that learns a task, such as to classify spike trains.

Shape letters: T steps, B samples, C classes.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, SumMetric
from typing_extensions import override

from lit_delays.components import plain
from lit_delays.metrics import Activity
from lit_delays.snn.network import Network
from lit_delays.snn.network_config import NetworkConfig
from lit_delays.snn.recorder import Recorder
from lit_delays.tasks import task_named
from lit_delays.training.optimizer import OptimizerConfig, make_optimizer, schedule_optimizer

INTERFACE = "interface"  # in a checkpoint: what the inputs and the answers of its network mean
NUM_TESTED = "test/num_samples"
STAGES = ("train", "val", "test")


class Batch(Protocol):
    """What the network is fed: spikes, and what is asked: for most tasks, the class of every sample."""

    labels: Tensor
    lengths: Tensor | None

    def counts(self) -> Tensor:
        """Spikes per time step, sample and channel, shape ``(T, B, I)``."""
        ...


class DelayClassifier(pl.LightningModule):
    """Trains a delay network with the paper's recipe.

    Every validation number is that of the deployed network: whole delays, one tap a synapse.

    Args:
        network: Size and parts of the network; also as the plain values that a checkpoint holds.
        optimizer: Learning rates of the weights and of the delays; also as plain values.
        task: What is asked of the network, a class of :mod:`lit_delays.tasks`, or the path of one's own.

    Logged per epoch: ``train/loss``, ``train/acc``, ``val/loss``, ``val/acc`` (or the task's other metric),
    ``lr/weights``, ``lr/delays``, ``beta1``, and ``firing_rate/hidden1``.. in spikes per second and neuron,
    measured in validation.

    Source:
        Hammouamri et al. (2023), Sec. 3 and 4. Accuracy is exact over all samples, where the reference
        averages over batches.
    """

    def __init__(
        self,
        network: NetworkConfig = NetworkConfig(),  # noqa: B008  (frozen)
        optimizer: OptimizerConfig = OptimizerConfig(),  # noqa: B008
        task: str = "ClassPerSequence",
    ) -> None:
        super().__init__()
        config = NetworkConfig.of(network) if isinstance(network, Mapping) else network
        self.optimizer_config = OptimizerConfig(**optimizer) if isinstance(optimizer, Mapping) else optimizer
        # plain values alone, so that a checkpoint holds no code, and loads with weights_only=True
        self.save_hyperparameters(
            {"network": config.plain, "optimizer": plain(self.optimizer_config), "task": task}
        )
        self.task = task_named(task)(config.num_classes)
        self.network = Network(config)
        self.activity = Activity(self.network)
        self.scores = nn.ModuleDict({f"{stage}_score": self.task.make_metric() for stage in STAGES})
        self.losses = nn.ModuleDict({f"{stage}_loss": MeanMetric(nan_strategy="disable") for stage in STAGES})
        self.num_tested = SumMetric()

    @override
    def forward(self, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The answers of the task, for counts ``(T, B, I)`` and lengths ``(B,)``."""
        return self.task.answer(self.network, counts, lengths)

    @override
    def training_step(self, batch: Batch) -> Tensor:
        return self._step("train", batch)

    @override
    def validation_step(self, batch: Batch) -> None:
        with Recorder(self.network) as recorder:
            self._step("val", batch)
        if recorder.record:
            self.activity.update(recorder.record)

    @override
    def on_validation_epoch_end(self) -> None:
        for name, value in self.activity.compute().items():
            if name.startswith("firing_rate/"):
                self.log(name, value)
        self.activity.reset()

    @override
    def test_step(self, batch: Batch) -> None:
        self._step("test", batch)
        self.num_tested.update(self._size(batch))
        self.log(NUM_TESTED, self.num_tested, on_step=False, on_epoch=True)

    @override
    def predict_step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The answers of the task, and what was asked for, samples first."""
        answer = self(batch.counts(), batch.lengths)
        return (
            (answer.transpose(0, 1), batch.labels.transpose(0, 1))
            if self.task.per_step
            else (answer, batch.labels)
        )

    def _size(self, batch: Batch) -> int:
        return batch.labels.shape[1 if self.task.per_step else 0]

    def _step(self, stage: str, batch: Batch) -> Tensor:
        score, mean_loss = self.scores[f"{stage}_score"], self.losses[f"{stage}_loss"]
        assert isinstance(score, Metric)
        assert isinstance(mean_loss, Metric)
        if size := self._size(batch):
            counts, targets = batch.counts(), batch.labels
            self.task.check(targets, len(counts))
            answer = self(counts, batch.lengths)
            loss = self.task.loss(answer, targets)
            self.task.update(score, answer.detach(), targets)
            mean_loss.update(loss.detach(), weight=size)
        else:  # one of several processes has none left: gradients of zero, and nothing to count
            loss = 0.0 * torch.stack([parameter.sum() for parameter in self.parameters()]).sum()
        show = {"on_step": False, "on_epoch": True, "batch_size": size, "prog_bar": True}
        self.log(f"{stage}/loss", mean_loss, **show)  # type: ignore[arg-type]
        self.log(f"{stage}/{self.task.metric}", score, **show)  # type: ignore[arg-type]
        return loss

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
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make delays whole where they should be once an epoch; not where a resumed run is inside of one."""
        if batch_idx == 0:
            self.network.snap()

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
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the names of the classes and how inputs are made: the network is of no use without."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            checkpoint[INTERFACE] = data.interface.plain

    @override
    def optimizer_step(self, *args: object, **kwargs: object) -> None:
        super().optimizer_step(*args, **kwargs)  # type: ignore[arg-type]
        self.network.constrain()


def network_of(module: pl.LightningModule) -> Network:
    """The delay network inside a LightningModule."""
    network = module.network
    assert isinstance(network, Network)
    return network
