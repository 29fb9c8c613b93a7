import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import WandbLogger

from lit_delays import stopping
from lit_delays.cli.tracking import TellPreempted
from lit_delays.errors import InputError
from lit_delays.stopping import Interrupted, stoppable
from lit_delays.training.callbacks.stop_signals import StopSignals


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGUSR1", 143), ("SIGINT", 130)])
def test_outside_of_training_a_signal_ends_the_process_with_its_code(number, code):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as end, stoppable():
        os.kill(os.getpid(), signal.Signals[number])
    assert end.value.code == code
    assert end.value.is_preemption == (code == 143)
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_training_a_signal_is_noted_and_the_second_interrupt_stops_at_once(capfd):
    with stoppable():
        signals = StopSignals()
        signals.on_train_start(None, None)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert "stopping after this batch; Ctrl-C once more stops at once" in capfd.readouterr().err


WAITING = """
import os, signal, sys, threading, time
from lit_delays import stopping
from lit_delays.training.callbacks.stop_signals import StopSignals
stopping.PATIENCE_S = 1.0
stopping._has_others = lambda: {others}
with stopping.stoppable():
    {training}
    print("waiting", flush=True)
    {wait}
"""
IN_C = "import torch.distributed; torch.distributed.TCPStore('127.0.0.1', 0, 2, True)"  # for a second process


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGUSR1", 143), ("SIGINT", 130)])
@pytest.mark.parametrize(
    ("others", "training", "wait"),
    [
        (False, "", IN_C),  # before training: no handler of Python's comes to run
        (True, "StopSignals().on_train_start(None, None)", "time.sleep(60)"),  # noted, but nothing follows
    ],
    ids=["in C", "noted"],
)
def test_a_process_that_waits_for_others_is_left_within_seconds(others, training, wait, number, code):
    code_of = WAITING.format(others=others, training=training, wait=wait)
    process = subprocess.Popen(
        [sys.executable, "-c", code_of], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.Signals[number])
    _, said = process.communicate(timeout=20)
    assert process.returncode == code
    assert f"stopped by {number} while waiting; the same command goes on" in said.decode()


def fail_after_a_signal(error):
    StopSignals().on_train_start(None, None)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    raise error


def test_what_fails_after_a_signal_because_others_are_gone_has_its_code(monkeypatch, capfd):
    monkeypatch.setattr(stopping, "_has_others", lambda: True)
    with pytest.raises(Interrupted) as end, stoppable():
        fail_after_a_signal(RuntimeError("Connection closed by peer"))
    assert end.value.code == 143
    assert "stopped by SIGTERM; the same command goes on" in capfd.readouterr().err


@pytest.mark.parametrize("others", [True, False])
def test_a_mistake_after_a_signal_and_a_fault_of_a_single_process_stay_what_they_are(others, monkeypatch):
    monkeypatch.setattr(stopping, "_has_others", lambda: others)
    kind = InputError if others else RuntimeError
    with pytest.raises(kind), stoppable():
        fail_after_a_signal(kind("no such luck"))


@pytest.mark.parametrize(
    ("end", "told"), [(Interrupted(143), True), (Interrupted(130), False), (ValueError(), False)]
)
def test_weights_and_biases_is_told_of_a_preemption(end, told):
    class Offline(WandbLogger):
        def __init__(self):
            self.told = False

        @property
        def experiment(self):
            return SimpleNamespace(mark_preempting=lambda: setattr(self, "told", True))

    logger = Offline()
    TellPreempted().on_exception(SimpleNamespace(loggers=[logger]), None, end)
    assert logger.told == told
