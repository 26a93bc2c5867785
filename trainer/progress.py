"""How far a command is: a bar on a terminal, otherwise a plain line now and then."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 30.0


class ProgressLine:
    """Shows `done` of `total` with a word about how it goes."""

    def __init__(self, total: int, unit: str, *, done: int = 0, stderr: bool = False, quiet: bool = False):
        """Shows nothing yet.

        Args:
            total: What is to be done.
            unit: Of what: `steps`.
            done: What was done before.
            stderr: Writes to standard error, where standard output is for a result.
            quiet: Shows nothing at all.
        """
        self._total, self._unit = total, unit
        self._last_line = time.monotonic()
        console = Console(stderr=stderr, quiet=quiet)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, done: int, text: str) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=done, description=text)
        if self._bar.disable and time.monotonic() - self._last_line >= PLAIN_EVERY_S:
            self.say(f"{done:,} of {self._total:,} {self._unit}: {text}")

    def say(self, text: str) -> None:
        """Prints a line that stays."""
        self._last_line = time.monotonic()
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
