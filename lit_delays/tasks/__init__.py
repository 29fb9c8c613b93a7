"""What is asked of a network: one task a file; :class:`~.base.Task` says what one is."""

from lit_delays.tasks.base import IGNORE, Task, task_named
from lit_delays.tasks.class_per_sequence import ClassPerSequence
from lit_delays.tasks.class_per_step import ClassPerStep
from lit_delays.tasks.value_per_sequence import ValuePerSequence
from lit_delays.tasks.value_per_step import ValuePerStep

__all__ = [
    "IGNORE", "ClassPerSequence", "ClassPerStep", "Task", "ValuePerSequence", "ValuePerStep", "task_named",
]  # fmt: skip
