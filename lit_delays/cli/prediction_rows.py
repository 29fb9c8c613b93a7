"""Rows of ``predictions.csv``: what the network answered to a sample, for every kind of task."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from lit_delays.plain_text import cell
from lit_delays.tasks import Task


def header_of(task: Task, names: Sequence[str]) -> list[str]:
    """Names of the columns: a row a sample, or a row a step."""
    where = ["sample", *(["step"] if task.per_step else [])]
    if not task.has_classes:
        return [*where, *map(cell, names), *(cell(f"true {name}") for name in names)]
    return [*where, "prediction", "label", *(cell(f"score of {name}") for name in names)]


def rows_of(task: Task, names: Sequence[str], answer: Tensor, target: Tensor) -> Iterator[list[str]]:
    """All rows of a sample but for its number.

    Args:
        task: The task.
        names: Of the classes, or of the values.
        answer: Scores or values ``(C,)``, or of every step ``(T, C)``.
        target: A class, or values ``(C,)``; of every step, with a dimension more.
    """
    if task.per_step:
        pairs = zip(answer, target, strict=True)
        yield from ([str(step), *_row(task, names, *pair)] for step, pair in enumerate(pairs))
    else:
        yield _row(task, names, answer, target)


def _row(task: Task, names: Sequence[str], answer: Tensor, target: Tensor) -> list[str]:
    numbers = [f"{value:.6g}" for value in answer.tolist()]
    if not task.has_classes:
        return [*numbers, *(f"{value:.6g}" for value in target.tolist())]
    words = [cell(names[int(k)]) if k >= 0 else "" for k in (answer.argmax(), target)]
    return [*words, *numbers]
