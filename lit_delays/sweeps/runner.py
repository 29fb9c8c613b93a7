"""Runs side by side, each in a process of its own, until all are done."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from lit_delays.plain_text import printable
from lit_delays.sweeps.manifest import Run

LOG_NAME = "output.log"
POLL_SECONDS = 0.2
GRACE_SECONDS = 30
WORD = [sys.executable, "-m", "lit_delays"]


@dataclass(frozen=True)
class Child:
    """A run in progress.

    Args:
        run: The run.
        process: Its process, the leader of a group of its own.
        slot: Its place among the runs side by side, from 0.
        task: Its line in the progress display.
    """

    run: Run
    process: subprocess.Popen[bytes]
    slot: int
    task: TaskID


class Runner:
    """Makes every run that has no result yet, a few at a time; a failing run does not stop the others.

    Every run writes to ``output.log`` in its folder, and the process holds a lock on that file as long as it
    lives. So no run is made twice at once, not even by two sweeps on one folder, or by a sweep that is
    started again while processes of a killed one still train: it waits for them.

    Args:
        folder: Of the sweep.
        jobs: Runs side by side, at least 1.
    """

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder, self.jobs = folder, jobs
        self.children: list[Child] = []
        self.failed: list[Run] = []
        self.made_elsewhere: set[str] = set()
        console = Console(stderr=True)
        self.progress = Progress(console=console, disable=not console.is_terminal)
        self.total = self.progress.add_task("sweep")

    def make(self, runs: Sequence[Run]) -> list[Run]:
        """Make all runs; returns those that failed."""
        waiting = [run for run in runs if not run.is_done(self.folder)]
        self.progress.update(self.total, total=len(runs), completed=len(runs) - len(waiting))
        with self.progress, _signals() as heard:
            try:
                while (waiting or self.children) and not heard:
                    waiting = [run for run in waiting if not self.take(run)]
                    time.sleep(POLL_SECONDS)
                    self._look_after_children()
            finally:
                self._stop()
        if heard:
            sys.exit(130 if heard[0] == signal.SIGINT else 143)
        return self.failed

    def take(self, run: Run) -> bool:
        """Start the run if there is a place for it, and nobody else makes it; True if it needs no more."""
        if len(self.children) == self.jobs:
            return False
        log = _locked(self.folder / run.name / LOG_NAME)
        if log is None:
            if run.name not in self.made_elsewhere:
                self.made_elsewhere.add(run.name)
                self.progress.console.print(
                    f"another process makes {run.name}; waiting for it", highlight=False
                )
            return False
        with log:  # the process keeps it open, and so the lock
            if run.is_done(self.folder):
                self.progress.advance(self.total)
            else:
                self._start(run, log)
        return True

    def _start(self, run: Run, log: IO[bytes]) -> None:
        slot = min(set(range(self.jobs)) - {child.slot for child in self.children})
        process = subprocess.Popen(
            [*WORD, *run.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment_of(slot, self.jobs),
            start_new_session=True,  # Ctrl-C reaches it once, through us
        )
        self.children.append(Child(run, process, slot, self.progress.add_task(run.name, total=None)))

    def _look_after_children(self) -> None:
        for child in list(self.children):
            words = escape(printable(self.last_words(child.run)))  # no colours, no commands of a terminal
            self.progress.update(child.task, description=f"{child.run.name}  {words}")
            if child.process.poll() is not None:
                self.children.remove(child)
                self._finish(child)

    def _finish(self, child: Child) -> None:
        self.progress.remove_task(child.task)
        self.progress.advance(self.total)
        word = "done"
        if not child.run.is_done(self.folder):
            word = "failed"
            self.failed.append(child.run)
        self.progress.console.print(f"{word}: {child.run.name}", highlight=False)

    def last_words(self, run: Run) -> str:
        """The last line that the run wrote."""
        with (self.folder / run.name / LOG_NAME).open("rb") as log:
            log.seek(max(log.seek(0, os.SEEK_END) - 2000, 0))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _stop(self) -> None:
        """Ask what still runs to stop, with all its processes, and wait for it."""
        for child in self.children:
            _signal(child.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child in self.children:
            try:
                child.process.wait(max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                _signal(child.process, signal.SIGKILL)


def _locked(path: Path) -> IO[bytes] | None:
    """The file, open for appending and locked, or None where another process has it, here or elsewhere.

    The lock belongs to the open file, which the run's process inherits: it ends with the last of them. Where
    the file system has no locks, there is none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        pass
    return file


def environment_of(slot: int, jobs: int) -> dict[str, str]:
    """Variables of a run: its share of the processor cores, and one GPU where several run side by side."""
    cores = (
        len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    )  # ours, on a cluster
    threads = max(cores // jobs, 1)
    variables = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONUNBUFFERED": "1"}
    if jobs > 1 and (count := torch.cuda.device_count()):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(count)))
        variables["CUDA_VISIBLE_DEVICES"] = visible.split(",")[slot % count]
    return variables


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that asked to stop, SLURM's SIGUSR1 among them.

    They are noted, not raised: a run that is just being started must not be forgotten.
    """
    heard: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
