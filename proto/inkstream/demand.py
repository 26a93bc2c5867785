"""How much a trainer could take: the rows per second that it would use up if it never waited for data."""

import threading
from collections import deque
from typing import NamedTuple

# Deliveries that count: enough to smooth a step's jitter, few enough to follow a change within seconds.
_RECENT = 64
# Shorter work than this cannot be told from the clock's noise.
_LEAST_BUSY_S = 1e-3


class _Delivery(NamedTuple):
    """One batch that was handed out: when, the rows of all before it, and for how long was waited up to it."""

    at_s: float
    rows_before: int
    waited_s: float


class Demand:
    """The demand of one stream, from its latest deliveries; any thread may tell and ask.

    Between one delivery and the next a trainer works on the first and then waits for the second. So the rows of all
    but the last are divided by the time between the first and the last, less the waiting.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows, self._waited_s = 0, 0.0
        self._recent: deque[_Delivery] = deque(maxlen=_RECENT)

    def delivered(self, at_s: float, rows: int, wait_s: float) -> None:
        """A batch was handed out.

        Args:
            at_s: When, on a monotonic clock.
            rows: In it.
            wait_s: For how long the trainer had waited for it.
        """
        with self._lock:
            self._waited_s += wait_s
            self._recent.append(_Delivery(at_s, self._rows, self._waited_s))
            self._rows += rows

    def rows_per_s(self) -> float | None:
        """Rows per second of the trainer's own time; None until that is known."""
        with self._lock:
            if not self._recent:
                return None
            first, last = self._recent[0], self._recent[-1]
        busy_s = (last.at_s - first.at_s) - (last.waited_s - first.waited_s)
        return (last.rows_before - first.rows_before) / busy_s if busy_s >= _LEAST_BUSY_S else None
