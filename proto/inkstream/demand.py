"""How much a trainer could take: the rows per second that it would use up if it never waited for data."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

# Deliveries that count: enough to smooth a step's jitter, few enough to follow a change within seconds.
_RECENT = 64
# Shorter work than this cannot be told from the clock's noise.
_LEAST_BUSY_S = 1e-3


class Delivery(NamedTuple):
    """One batch that was handed out.

    Attributes:
        at_s: When, on a monotonic clock.
        rows: In it.
        wait_s: For how long the trainer had waited for it.
    """

    at_s: float
    rows: int
    wait_s: float


def demand_rows_per_s(deliveries: Sequence[Delivery]) -> float | None:
    """Rows per second of the trainer's own time; None until that is known.

    Between one delivery and the next a trainer works on the first and then waits for the second. So the rows of all
    but the last are divided by the time between the first and the last, less the waiting.

    Args:
        deliveries: In the order of time.
    """
    if len(deliveries) < 2:
        return None
    elapsed_s = deliveries[-1].at_s - deliveries[0].at_s
    busy_s = elapsed_s - sum(delivery.wait_s for delivery in deliveries[1:])
    if busy_s < _LEAST_BUSY_S:
        return None
    return sum(delivery.rows for delivery in deliveries[:-1]) / busy_s


class Demand:
    """The demand of one stream, from its latest deliveries; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[Delivery] = deque(maxlen=_RECENT)

    def delivered(self, delivery: Delivery) -> None:
        """A batch was handed out."""
        with self._lock:
            self._recent.append(delivery)

    def rows_per_s(self) -> float | None:
        """See `demand_rows_per_s`."""
        with self._lock:
            recent = list(self._recent)
        return demand_rows_per_s(recent)
