import os
import signal
from types import SimpleNamespace

import pytest
from lightning.pytorch.loggers import WandbLogger

from lit_delays.cli.tracking import TellPreempted
from lit_delays.training.callbacks.stop_signals import Interrupted, StopSignals, stoppable


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
