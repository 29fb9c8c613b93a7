"""A value for every sequence, such as what a time series will be.

Shape letters: T' output steps, B samples, C values.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric, RelativeSquaredError
from typing_extensions import override

from lit_delays.snn.network import Network
from lit_delays.tasks.base import Task


class ValuePerSequence(Task):
    """Which value is it? Targets are real ``(B, C)``; the answer is the readout when the last input has come.

    The loss is the mean squared error. The metric is that of the whole set, in units of the variance of its
    targets (NMSE): 0 is perfect, and 1 is what the mean of the targets would reach.

    Source:
        The forecasts of Queant et al. (2025), https://arxiv.org/abs/2509.24852.

    Example:
        >>> task, metric = ValuePerSequence(1), ValuePerSequence(1).make_metric()
        >>> task.update(metric, torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [3.0]]))
        >>> metric.compute()
        tensor(0.5000)
    """

    metric, best, has_classes, per_step = "nmse", "min", False, False

    @override
    def answer(self, network: Network, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        readout: Tensor = network(counts, lengths)
        if lengths is None:
            return readout[len(counts) - 1]
        return readout[lengths - 1, torch.arange(readout.shape[1], device=readout.device)]

    @override
    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(answer, targets.to(answer.dtype))

    @override
    def make_metric(self) -> Metric:
        return RelativeSquaredError(num_outputs=self.num_outputs)

    @override
    def update(self, metric: Metric, answer: Tensor, targets: Tensor) -> None:
        single = self.num_outputs == 1
        metric.update(*((part.float().squeeze(-1) if single else part.float()) for part in (answer, targets)))

    @override
    def check(self, targets: Tensor, num_steps: int) -> None:
        fits = targets.ndim == 2 and targets.is_floating_point() and targets.shape[1] == self.num_outputs
        self._require(fits, f"{self.num_outputs} real values for every sample", targets)
