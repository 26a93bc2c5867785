"""Stopping in good order: SIGTERM after the current step, Ctrl-C likewise but within seconds."""

import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Self

from inkstream.command_line import EXIT_INTERRUPTED, EXIT_STOPPED

# A step cannot be interrupted, and compiling one may take minutes: someone who pressed Ctrl-C does not wait longer.
CTRL_C_GRACE_S = 4.0
# A terminal and a wrapper may both pass on one Ctrl-C: only a later one says that the user has lost patience.
SAME_CTRL_C_S = 1.0


class StopSignals:
    """While entered, SIGTERM ends the command with exit code 143, as Ctrl-C does with 130.

    After `defer` they only set `exit_code`, and whoever works asks for it after each step. If Ctrl-C then has no effect
    within `CTRL_C_GRACE_S`, or is pressed again, the process ends there and then; what is on disk is whole whatever was
    being done.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._deferring = False
        self._previous: dict[int, object] = {}
        self._grace: threading.Timer | None = None

    def __enter__(self) -> Self:
        # Python runs handlers in the main thread only, which may sit in a compiler for minutes; the number of a signal
        # is written to the wake-up descriptor at once, and a thread reads it there.
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, name="stop-signals", daemon=True)
        self._watcher.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._write_end)
        self._watcher.join()
        os.close(self._read_end)
        if self._grace is not None:
            self._grace.cancel()

    def defer(self) -> None:
        """From now on, signals wait until they are asked for."""
        self._deferring = True

    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.exit_code is not None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_STOPPED
        if not self._deferring:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(EXIT_STOPPED)

    def _watch(self) -> None:
        first_at = 0.0
        while numbers := os.read(self._read_end, 64):
            if signal.SIGINT not in numbers:
                continue
            if self._grace is None:
                first_at = time.monotonic()
                self._grace = threading.Timer(CTRL_C_GRACE_S, _leave)
                self._grace.daemon = True
                self._grace.start()
            elif time.monotonic() - first_at > SAME_CTRL_C_S:
                _leave()


def _leave() -> None:
    print("trainer: interrupted", file=sys.stderr, flush=True)
    os._exit(EXIT_INTERRUPTED)
