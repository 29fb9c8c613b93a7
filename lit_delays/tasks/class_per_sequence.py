"""A class for every sequence: the paper's task.

Shape letters: B samples, C classes.
"""

from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Accuracy, Metric
from typing_extensions import override

from lit_delays.snn.network import Network
from lit_delays.tasks.base import Task


class ClassPerSequence(Task):
    """Which class is it? Targets are classes ``(B,)``, or the share of every class ``(B, C)``.

    Source:
        Hammouamri et al. (2023), Sec. 3.1: cross-entropy of the scores that the network's ``decision`` makes.
    """

    metric, best, has_classes, per_step = "acc", "max", True, False

    @override
    def answer(self, network: Network, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        return network.scores(counts, lengths)

    @override
    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(answer, targets)

    @override
    def make_metric(self) -> Metric:
        return Accuracy(task="multiclass", num_classes=self.num_outputs)

    @override
    def update(self, metric: Metric, answer: Tensor, targets: Tensor) -> None:
        metric.update(answer, targets if targets.ndim == 1 else targets.argmax(dim=-1))

    @override
    def check(self, targets: Tensor, num_steps: int) -> None:
        is_mixed = targets.ndim == 2 and targets.is_floating_point() and targets.shape[1] == self.num_outputs
        is_class = targets.ndim == 1 and not targets.is_floating_point()
        self._require(is_class or is_mixed, "a class for every sample", targets)
