"""A value for every time step, such as a forecast that goes along with its series.

Shape letters: T steps, B samples, C values.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric
from typing_extensions import override

from lit_delays.snn.network import Network
from lit_delays.tasks.value_per_sequence import ValuePerSequence


class ValuePerStep(ValuePerSequence):
    """Which value is it now? Targets are real ``(T, B, C)``; not a number in steps that do not count.

    Loss and metric are those of :class:`~.value_per_sequence.ValuePerSequence`, over all steps that count.

    Example:
        >>> answer, targets = torch.tensor([[[1.0]], [[5.0]]]), torch.tensor([[[3.0]], [[torch.nan]]])
        >>> ValuePerStep(1).loss(answer, targets)
        tensor(4.)
    """

    per_step = True

    @override
    def answer(self, network: Network, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        readout: Tensor = network(counts, lengths)
        return readout[: len(counts)]

    @override
    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        counted = targets.isfinite()
        wanted = torch.where(counted, targets.to(answer.dtype), answer.detach())
        return F.mse_loss(answer, wanted, reduction="sum") / counted.sum().clamp(min=1)

    @override
    def update(self, metric: Metric, answer: Tensor, targets: Tensor) -> None:
        counted = targets.isfinite().all(dim=-1)
        if bool(counted.any()):
            super().update(metric, answer[counted], targets[counted])

    @override
    def check(self, targets: Tensor, num_steps: int) -> None:
        fits = targets.ndim == 3 and len(targets) == num_steps and targets.shape[2] == self.num_outputs
        self._require(fits, f"{self.num_outputs} real values for each of the {num_steps} steps", targets)
