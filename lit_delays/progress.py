"""How far long work is: a bar on a terminal, a line a minute in a log; nothing for what is over at once."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress as Bar

Item = TypeVar("Item")

PATIENCE_S = 1.0  # what is over before needs no bar
INTERVAL_S = 60.0  # between two lines of a log


class Progress:
    """Shown on stderr from its first update to the end of the block.

    Args:
        work: What is done: ``packing digits.h5``.

    Example:
        >>> with Progress("packing digits.h5") as progress:
        ...     progress.update(120, 1000)
    """

    def __init__(self, work: str) -> None:
        self.work = work
        self._bar = Bar(console=Console(file=sys.stderr), transient=True)
        self._due = time.monotonic() + (PATIENCE_S if self._bar.console.is_terminal else INTERVAL_S)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def update(self, done: int, total: int | None) -> None:
        """Say how much is done, of how much if that is known; most calls show nothing."""
        if time.monotonic() < self._due:
            return
        if not self._bar.console.is_terminal:
            share = f" of {total:,} ({done / total:.0%})" if total else ""
            print(f"{self.work}: {done:,}{share}", file=sys.stderr, flush=True)
            self._due = time.monotonic() + INTERVAL_S
            return
        if not self._bar.tasks:
            self._bar.start()
            self._bar.add_task(self.work)
        self._bar.update(self._bar.tasks[0].id, completed=done, total=total)


def track(items: Iterable[Item], work: str, total: int) -> Iterator[Item]:
    """The same items, shown as they go by."""
    with Progress(work) as progress:
        for done, item in enumerate(items):
            progress.update(done, total)
            yield item
