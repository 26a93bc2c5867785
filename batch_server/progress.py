"""How a long command tells how far it is, on standard error: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LINE_EVERY_S = 5.0
_BAR_EVERY_S = 0.1


class ConsoleProgress:
    """Use it as a context: the bar is taken away at the end."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic):
        """Creates a display.

        Args:
            console: Where to; standard error by default.
            clock: Seconds.
        """
        self._console = console or Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._clock = clock
        self._told_s = clock()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", justify="left"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
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
        self._console.print(text)

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
            self._console.print(f"{what}{share}{', ' if detail else ''}{detail}")
            self._told_s = now_s
