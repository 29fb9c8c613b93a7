"""A class for every time step, such as the waves of an electrocardiogram.

Shape letters: T steps, B samples, C classes.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Accuracy, Metric
from typing_extensions import override

from lit_delays.snn.network import Network
from lit_delays.tasks.base import IGNORE, Task


class ClassPerStep(Task):
    """Which class is it now? Targets are classes ``(T, B)``; -1 in steps that do not count.

    The answer in a step is the readout of that step; steps that delays add behind the end have none.

    Example:
        >>> task, answer = ClassPerStep(2), torch.tensor([[[2.0, 0.0]], [[0.0, 9.0]]])
        >>> task.loss(answer, torch.tensor([[0], [IGNORE]]))  # log(1 + e^-2)
        tensor(0.1269)
    """

    metric, best, has_classes, per_step = "acc", "max", True, True

    @override
    def answer(self, network: Network, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        readout: Tensor = network(counts, lengths)
        return readout[: len(counts)]

    @override
    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        total = F.cross_entropy(answer.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
        return total / (targets != IGNORE).sum().clamp(min=1)  # a batch may have no labelled step

    @override
    def make_metric(self) -> Metric:
        return Accuracy(task="multiclass", num_classes=self.num_outputs, ignore_index=IGNORE)

    @override
    def update(self, metric: Metric, answer: Tensor, targets: Tensor) -> None:
        labelled = targets != IGNORE
        if bool(labelled.any()):
            metric.update(answer[labelled], targets[labelled])

    @override
    def check(self, targets: Tensor, num_steps: int) -> None:
        fits = targets.ndim == 2 and len(targets) == num_steps and targets.dtype == torch.int64
        self._require(fits, f"a class for each of the {num_steps} steps of a sample", targets)
