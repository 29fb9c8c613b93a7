"""From the readout over time to one score per class, which the loss and the prediction share.

Shape letters: T steps, B samples, C classes.
"""

from typing import Literal

from torch import Tensor

Decision = Literal["sum", "mean", "max", "spike_count"]


def class_scores(readout: Tensor, decision: Decision) -> Tensor:
    """Score of every class, to go into the cross-entropy; the largest is the answer.

    Args:
        readout: Output of the network, shape ``(T, B, C)``.
        decision: ``sum`` of the softmax of every step (the paper), ``mean`` or ``max`` of the readout over
            time, or its ``spike_count``.

    Returns:
        Scores, shape ``(B, C)``.

    Source:
        Hammouamri et al. (2023), Sec. 3.1. The cross-entropy takes a second softmax of the sum, as the
        paper's reference code does.

    Example:
        >>> import torch
        >>> class_scores(torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]]), "sum")
        tensor([[0.7689, 1.2311]])
    """
    match decision:
        case "sum":
            return readout.softmax(dim=-1).sum(dim=0)
        case "mean":
            return readout.mean(dim=0)
        case "max":
            return readout.amax(dim=0)
        case "spike_count":
            return readout.sum(dim=0)
