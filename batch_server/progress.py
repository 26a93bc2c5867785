"""How a long command tells how far it is, on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

_LINE_EVERY_S = 5.0
_BAR_EVERY_S = 0.1


class ConsoleProgress:
    """Use it as a context: the bar is taken away at the end."""

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        """Creates a display.

        Args:
            file: Where to; standard error by default.
            clock: Seconds.
        """
        self._file = file or sys.stderr
        self._clock = clock
        self._told_s = clock()
        self._bar = _bar_on(self._file) if self._file.isatty() else None
        if self._bar is not None:
            self._task = self._bar.add_task("", total=None, detail="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def note(self, text: str) -> None:
        """Something to know."""
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            print(text, file=self._file, flush=True)

    def tell(self, what: str, done: int, total: int | None, detail: str = "") -> None:
        """How far the command is; it may be called as often as one likes.

        Args:
            what: What it does.
            done: How much of it, in any unit.
            total: Of how much; None if nobody knows.
            detail: More in words.
        """
        now_s = self._clock()
        if self._bar is not None:
            if now_s - self._told_s >= _BAR_EVERY_S or not done:
                self._bar.update(self._task, description=what, completed=done, total=total, detail=detail, refresh=True)
                self._told_s = now_s
        elif now_s - self._told_s >= _LINE_EVERY_S:
            share = f" {100 * done // total} %" if total else ""
            self.note(f"{what}{share}{', ' if detail else ''}{detail}")
            self._told_s = now_s


def _bar_on(terminal: TextIO) -> "Progress":
    # Imported here, since it takes as long as the import of a few thousand drawings, and plain lines need none of it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", justify="left"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=terminal, highlight=False, markup=False, soft_wrap=True),
        auto_refresh=False,
        transient=True,
    )
