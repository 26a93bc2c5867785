"""What is known of one server: whether to ask it, to pass it over, or to leave it alone for a while.

A server is *down* when its connection fails or it is stopping, and *suspect* when a range from it is late; both until
it answers a probe. It *rests* when it is full or fails otherwise. Nothing here waits or reads a clock.
"""

import random
import threading
from collections.abc import Callable

from inkstream.errors import InkstreamError, ServerFull, ServerUnavailable

# Exponential backoff with full jitter (Brooker 2015, "Exponential Backoff And Jitter"): clients that lost the same
# server at once must not come back at once.
BACKOFF_BASE_S = 0.1
BACKOFF_CAP_S = 2.0


class Health:
    """The state of one server; any thread may tell and ask. Times are seconds on one monotonic clock.

    Args:
        uniform: Draws a number between two others.

    Attributes:
        ready_at: Until when it rests.
        down_since: Since when it cannot be reached or is stopping; None where it is neither.
        suspect: Whether a range from it is late and it has not answered a probe since.
        full: Whether it said so and has delivered nothing since.
        last_error: Why it was not usable the last time; None where it is well.
    """

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform):
        self._uniform = uniform
        self._lock = threading.Lock()
        self._failures = 0  # in a row
        self._probing = False
        self._probe_at = 0.0
        self._unanswered_since: float | None = None
        self.ready_at = 0.0
        self.down_since: float | None = None
        self.suspect = False
        self.full = False
        self.last_error: InkstreamError | None = None

    def usable(self, now: float) -> bool:
        """Whether it may be asked for something."""
        return self.down_since is None and self.ready_at <= now

    def failed(self, error: InkstreamError, now: float) -> bool:
        """Takes note of a failed call, and lets the server be: as long as it asked for, and a random time that grows.

        Returns:
            Whether this is news; calls that end together tell of one failure.
        """
        with self._lock:
            news = self.usable(now)
            self._failures += news
            self.last_error = error
            pause_s = self._pause_s(error)
            if isinstance(error, ServerUnavailable) and not isinstance(error, ServerFull):
                self._down(now, pause_s)
            else:
                self.full |= isinstance(error, ServerFull)
                self.ready_at = max(self.ready_at, now + pause_s)
            return news

    def delivered(self) -> None:
        """Takes note of a call that did what it was to do."""
        with self._lock:
            self._failures = 0
            self.full = False

    def doubt(self) -> None:
        """Makes it suspect."""
        self.suspect = True

    def unanswered_s(self, now: float) -> float:
        """For how long it has answered no probe that was sent; 0 where none waits for an answer."""
        since = self._unanswered_since
        return 0.0 if since is None else now - since

    def begin_probe(self, now: float, every_s: float = 0.0) -> bool:
        """Whether a probe is to be sent now: none is under way, and the last one began so long ago.

        Args:
            now: The time.
            every_s: The least time between two.
        """
        with self._lock:
            if self._probing or now < self._probe_at + every_s:
                return False
            self._probing = True
            self._probe_at = max(self._probe_at, now)
            if self._unanswered_since is None:
                self._unanswered_since = now
            return True

    def probe_answered(self) -> bool:
        """It serves; returns whether it was passed over until now."""
        with self._lock:
            passed_over = self.suspect or self.down_since is not None
            self._probing = False
            self._failures = 0
            self._unanswered_since = self.down_since = self.last_error = None
            self.suspect = False
            return passed_over

    def probe_failed(self, error: InkstreamError, now: float) -> None:
        """It cannot be reached, or says that it does not serve."""
        with self._lock:
            self._probing = False
            self._unanswered_since = None
            self._failures += 1
            self.last_error = error
            self._down(now, self._pause_s(error))

    def probe_lost(self) -> None:
        """No answer came in time: it stays what it is, and the wait for an answer goes on."""
        with self._lock:
            self._probing = False

    def _down(self, now: float, pause_s: float) -> None:
        if self.down_since is None:
            self.down_since = now
        self._probe_at = max(self._probe_at, now + pause_s)

    def _pause_s(self, error: InkstreamError) -> float:
        """As long as the server asked for, and a random time on top.

        That grows with failures in a row, except where the server is full and says for how long: it is well, and who
        has found no place so far must not be the one that asks ever more seldom.
        """
        asked_s = float(getattr(error, "retry_after_s", 0.0))
        longest_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(self._failures, 16))
        if isinstance(error, ServerFull) and asked_s:
            longest_s = asked_s
        return asked_s + self._uniform(0.0, longest_s)
