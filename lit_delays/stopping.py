"""How a command is asked to stop, and what it answers: the exit codes that clusters read.

SIGTERM and SLURM's SIGUSR1 mean that the machine is wanted back: exit code 143, and whoever started the run
starts it again. SIGINT is Ctrl-C: 130.
"""

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lit_delays.errors import InputError

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGINT: 130}
PATIENCE_S = 8.0  # without a sign of life after a signal


class Interrupted(SystemExit):
    """The command was asked to stop; its code says by what."""

    @property
    def is_preemption(self) -> bool:
        """Whether the run is to be started again."""
        return self.code == EXIT_CODES[signal.SIGTERM]


class SignalListener(threading.Thread):
    """Ends a process that waits for others, who may be gone, when it is asked to stop.

    Python answers a signal between two of its own steps. A process inside a collective takes none, so it is
    this thread that hears the signal, and leaves where nothing happens for ``PATIENCE_S``.

    Attributes:
        heard: The first signal that came, or None.
        last_acts: What is done before the process is left in this way.
    """

    def __init__(self) -> None:
        super().__init__(name="stop-signals", daemon=True)
        self.heard: signal.Signals | None = None
        self.last_acts: list[Callable[[], None]] = []
        self._is_answered, self._alive, self._longest_s = False, time.monotonic(), 0.0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    @contextmanager
    def on_duty(self) -> Iterator[None]:
        """Hear all signals until the end of the block."""
        before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(self._writer)  # which ends the thread
            self.join()
            os.close(self._reader)

    def answer(self) -> None:
        """The process has taken notice of the signal."""
        self._is_answered = True
        self.sign_of_life()

    def sign_of_life(self, seconds: float = 0.0) -> None:
        """The process gets on; what it has done took so long, twice of which the next may take."""
        self._longest_s, self._alive = max(self._longest_s, seconds), time.monotonic()

    def run(self) -> None:
        """Wait for a signal, then for silence."""
        while True:
            if self.heard and self._is_stuck():
                self._leave(EXIT_CODES[self.heard])
            if not select.select([self._reader], [], [], 0.5 if self.heard else None)[0]:
                continue
            if not (numbers := os.read(self._reader, 64)):
                return
            for number in numbers:
                if self.heard is None and number in set(EXIT_CODES):
                    self.heard = signal.Signals(number)
                    self.sign_of_life()

    def _is_stuck(self) -> bool:
        may_wait = not self._is_answered or _has_others()
        return may_wait and time.monotonic() - self._alive > max(PATIENCE_S, 2 * self._longest_s)

    def _leave(self, code: int) -> None:
        for act in self.last_acts:
            with suppress(Exception):
                act()
        assert self.heard
        _say(f"stopped by {self.heard.name} while waiting; the same command goes on from its checkpoint")
        os._exit(code)


listener: SignalListener | None = None  # of the command that runs


@contextmanager
def stoppable() -> Iterator[None]:
    """Within, a signal ends the process with its exit code, and all that is open is closed."""
    global listener
    if threading.current_thread() is not threading.main_thread():
        yield  # no place for handlers
        return
    before, listener = {number: signal.getsignal(number) for number in EXIT_CODES}, SignalListener()
    listen(leave)
    try:
        with listener.on_duty():
            yield
    except Exception as error:
        # the others may have left already, and whoever waits for them fails
        if listener.heard and _has_others() and not isinstance(error, InputError):
            _say(f"stopped by {listener.heard.name}; the same command goes on from its checkpoint")
            raise Interrupted(EXIT_CODES[listener.heard]) from error
        raise
    finally:
        listener = None
        for number, handler in before.items():
            signal.signal(number, handler)


def at_any_end(act: Callable[[], None]) -> None:
    """Do this when the process ends, unless it is killed."""
    atexit.register(act)
    if listener:
        listener.last_acts.append(act)


def listen(handler: Callable[[int, FrameType | None], None]) -> None:
    """Let this function answer the signals that ask to stop."""
    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            signal.signal(number, handler)


def leave(number: int, frame: FrameType | None) -> None:
    """Stop here and now; what comes after the first signal does not disturb that."""
    listen(_go_on)
    if listener:
        listener.answer()
    raise Interrupted(EXIT_CODES[signal.Signals(number)])


def _go_on(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT:  # Ctrl-C once more
        raise KeyboardInterrupt


def _has_others() -> bool:
    """Whether this process is one of several that train together."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return False
    return bool(distributed.get_world_size() > 1)


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())  # not print, which may be what the signal interrupted
