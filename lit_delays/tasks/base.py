"""What every task says: the answer in a readout, its loss, its metric, and what is better.

Shape letters: T input steps, T' output steps, B samples, C outputs of the network.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor
from torchmetrics import Metric

from lit_delays.components import find_class
from lit_delays.errors import InputError
from lit_delays.snn.network import Network

IGNORE = -1  # label of a step that nobody asks about


class Task(ABC):
    """What is asked of a network; made for a network's number of outputs, without options.

    Args:
        num_outputs: Outputs of the network, ``C``: classes, or values.

    Attributes:
        metric: Short name of its metric in tables and logs: ``val/acc``.
        best: Whether the ``max`` or the ``min`` of the metric is best.
        has_classes: Whether outputs are classes, else they are values.
        per_step: Whether every step has a target.
    """

    metric: ClassVar[str]
    best: ClassVar[Literal["max", "min"]]
    has_classes: ClassVar[bool]
    per_step: ClassVar[bool]

    def __init__(self, num_outputs: int) -> None:
        self.num_outputs = num_outputs

    @abstractmethod
    def answer(self, network: Network, counts: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Scores or values of every sample ``(B, C)``, or of every step too, ``(T, B, C)``.

        Args:
            network: The network.
            counts: Its input, shape ``(T, B, I)``.
            lengths: Real steps of every sample, shape ``(B,)``; None where all are.
        """

    @abstractmethod
    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        """What training makes small: a scalar."""

    @abstractmethod
    def make_metric(self) -> Metric:
        """A metric of the answers, for :meth:`update`."""

    @abstractmethod
    def update(self, metric: Metric, answer: Tensor, targets: Tensor) -> None:
        """Count the answers of a batch."""

    @abstractmethod
    def check(self, targets: Tensor, num_steps: int) -> None:
        """See that targets are some of this task, for a batch of so many steps.

        Raises:
            InputError: If not.
        """

    def _require(self, holds: bool, rule: str, targets: Tensor) -> None:
        if not holds:
            raise InputError(
                f"targets of {type(self).__name__} must be {rule}, got {targets.dtype} of shape"
                f" {tuple(targets.shape)}; give --data.task, or another data set."
            )


def task_named(name: str) -> type[Task]:
    """The class of a task: one of ours by its short name, or one that may be imported by its path.

    Raises:
        InputError: If there is none.

    Example:
        >>> task_named("ClassPerSequence").metric
        'acc'
    """
    return find_class(Task, name)  # type: ignore[type-abstract]
