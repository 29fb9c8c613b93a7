"""From the readout over time to one score per class, which the loss and the prediction share.

Shape letters: T steps, B samples, C classes.
"""

from typing import Literal

import torch
from torch import Tensor

Decision = Literal["sum", "mean", "max", "spike_count"]


def class_scores(readout: Tensor, decision: Decision, valid: Tensor | None = None) -> Tensor:
    """Score of every class, to go into the cross-entropy; the largest is the answer.

    Args:
        readout: Output of the network, shape ``(T, B, C)``.
        decision: ``sum`` of the softmax of every step (the paper), ``mean`` or ``max`` of the readout over
            time, or its ``spike_count``.
        valid: True in the steps of a sample that count, shape ``(T, B)``; None where all do.

    Returns:
        Scores, shape ``(B, C)``.

    Source:
        Hammouamri et al. (2023), Sec. 3.1. The cross-entropy takes a second softmax of the sum, as the
        paper's reference code does.

    Example:
        >>> class_scores(torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]]), "sum")
        tensor([[0.7689, 1.2311]])
    """
    votes = _votes(readout, decision)
    if valid is not None:
        counted = valid.unsqueeze(-1)
        votes = votes.masked_fill(~counted, -torch.inf if decision == "max" else 0)
        if decision == "mean":
            return votes.sum(dim=0) / counted.sum(dim=0)
    if decision == "max":
        return votes.amax(dim=0)
    return votes.mean(dim=0) if decision == "mean" else votes.sum(dim=0)


class RunningScores:
    """The same scores, one step after another.

    Args:
        decision: As of :func:`class_scores`.

    Example:
        >>> running = RunningScores("sum")
        >>> _ = running.add(torch.tensor([0.0, 0.0]))
        >>> running.add(torch.tensor([0.0, 1.0]))
        tensor([0.7689, 1.2311])
    """

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self._total: Tensor | None = None
        self._num_steps = 0

    def add(self, readout: Tensor) -> Tensor:
        """Scores up to this step, for its readout, both ``(..., C)``."""
        votes, before = _votes(readout, self.decision), self._total
        self._num_steps += 1
        if before is None:
            self._total = votes
        else:
            self._total = torch.maximum(before, votes) if self.decision == "max" else before + votes
        return self._total / self._num_steps if self.decision == "mean" else self._total


def _votes(readout: Tensor, decision: Decision) -> Tensor:
    """What a step adds."""
    return readout.softmax(dim=-1) if decision == "sum" else readout
