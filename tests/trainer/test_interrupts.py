import os
import signal
import subprocess
import sys
from threading import Event

import pytest

from trainer import interrupts
from trainer.interrupts import StopSignals


@pytest.mark.parametrize(
    ("number", "raised", "code"), [(signal.SIGINT, KeyboardInterrupt, 130), (signal.SIGTERM, SystemExit, 143)]
)
def test_signals_end_the_command_at_once_or_are_noted(number, raised, code):
    before = signal.getsignal(number)
    with pytest.raises(raised), StopSignals():
        signal.raise_signal(number)
    with StopSignals() as stop:
        stop.defer()
        assert not stop.asked()
        signal.raise_signal(number)
        assert stop.asked() and stop.exit_code == code
    assert signal.getsignal(number) is before


def left_early(presses, pause_s, monkeypatch):
    """Whether the process would have been ended while its main thread was busy."""
    left = Event()
    monkeypatch.setattr(interrupts, "_leave", left.set)
    with StopSignals() as stop:
        stop.defer()
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
            left.wait(pause_s)
        return left.wait(0.3)


def test_ctrl_c_that_has_no_effect_ends_the_process(monkeypatch):
    monkeypatch.setattr(interrupts, "CTRL_C_GRACE_S", 0.1)
    assert left_early(1, 0, monkeypatch)


def test_one_ctrl_c_may_arrive_twice(monkeypatch):
    assert not left_early(2, 0.01, monkeypatch)


def test_a_second_ctrl_c_ends_the_process(monkeypatch):
    monkeypatch.setattr(interrupts, "SAME_CTRL_C_S", 0.05)
    assert left_early(2, 0.2, monkeypatch)


def test_leaving_says_so_without_a_traceback():
    program = "from trainer.interrupts import _leave; _leave()"
    left = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (left.returncode, left.stderr) == (130, "trainer: interrupted\n")
