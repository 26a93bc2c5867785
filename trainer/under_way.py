"""Steps that were started and may not be done: devices need not wait until each of them is written down."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

import inkstream
from trainer.agreement import Stopped
from trainer.input import DeviceBatch, HostBatch

Record = Callable[[int, DeviceBatch, dict[str, float]], None]


class _Step(NamedTuple):
    step: int
    batch: DeviceBatch
    figures: dict[str, jax.Array]


class StepsUnderWay:
    """Waits for steps in order and has each recorded.

    Attributes:
        step: How many steps are done.
        cursor: Position in the stream after the last of them.
        batch: The last that was recorded, or was to be when that failed; None before.
    """

    def __init__(self, step: int, cursor: inkstream.Cursor, steps_ahead: int, record: Record):
        """Nothing is under way yet.

        Args:
            step: Steps done so far.
            cursor: After them.
            steps_ahead: How many steps may be under way when another is added.
            record: Told of each step that is done: its number, its batch and its figures.
        """
        self.step, self.cursor = step, cursor
        self.batch: HostBatch | None = None
        self._steps_ahead = steps_ahead
        self._record = record
        self._started: deque[_Step] = deque()
        self._stopped = False

    def add(self, step: int, batch: DeviceBatch, figures: dict[str, jax.Array]) -> None:
        """Notes a step that was started; `step` counts it.

        Raises:
            Stopped: A step was void. It and those after it have changed nothing.
        """
        self._started.append(_Step(step, batch, figures))
        self._wait(self._steps_ahead)

    def catch_up(self) -> None:
        """Waits for all steps; raises as `add` does, but only once."""
        self._wait(0)

    def _wait(self, steps_ahead: int) -> None:
        while len(self._started) > steps_ahead:
            step, batch, arrays = self._started.popleft()
            figures: dict[str, Any] = {name: value.item() for name, value in jax.block_until_ready(arrays).items()}
            if self._stopped:
                continue
            if figures["void"]:
                self._stopped = True
                raise Stopped
            self.batch = batch.host
            self._record(step, batch, figures)
            self.step, self.cursor = step, batch.host.cursor
