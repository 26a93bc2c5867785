"""Who may call: a bounded number of streams, none while draining, and the room of a stalled one for a new one.

gRPC's own limit counts health checks too and gives no reason, and a call that waits for a thread waits without a
bound; so every allowed stream has a thread, and one more is refused at once.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batch_server.serving.errors import ServerStarting
from inkstream.errors import ServerDraining, ServerFull

_LOG = logging.getLogger(__name__)

# When to ask again. A range takes about a tenth of a second; while draining, another server should be asked.
FULL_RETRY_S = 0.5
DRAINING_RETRY_S = 5.0
STARTING_RETRY_S = 1.0

# A client that has kept its stream waiting for so long may lose it to one that wants to begin. A live client reads all
# it asks for at once (it reserves the memory first), so seconds of silence mean a stopped process or a dead network.
STALLED_AFTER_S = 10.0
# What a message pays off of that wait, so that a client that takes one now and then is found as well. Slow networks
# are faster: sixty streams share 32 Mbit/s at this rate.
_LEAST_BYTES_PER_S = 64 << 10


class Stream:
    """One admitted stream.

    Args:
        cancel: Ends the stream's call at once, from any thread.
        clock: Seconds, monotonic.
    """

    def __init__(self, cancel: Callable[[], None], clock: Callable[[], float]):
        self._cancel, self._clock = cancel, clock
        # What earlier messages left unpaid, and since when one is being sent; in one value, since other threads look.
        self._waited: tuple[float, float | None] = 0.0, None

    @contextmanager
    def sending(self, size_bytes: int) -> Iterator[None]:
        """Around handing a message to the network, which blocks while the client takes nothing.

        Args:
            size_bytes: Of the message.
        """
        begun = self._clock()
        self._waited = self._waited[0], begun
        try:
            yield
        finally:
            waited_s = self._waited[0] + self._clock() - begun
            self._waited = max(0.0, waited_s - size_bytes / _LEAST_BYTES_PER_S), None

    def stalled_s(self, now: float) -> float:
        """For how long the client has kept its stream waiting, beyond what a slow network explains."""
        unpaid_s, since = self._waited
        return unpaid_s if since is None else unpaid_s + now - since

    def cancel(self) -> None:
        """Ends the call; its handler then leaves."""
        self._cancel()


class CallLimit:
    """Lets calls in that are no streams of batches.

    Args:
        max_calls: At a time.
    """

    def __init__(self, max_calls: int):
        self._places = threading.BoundedSemaphore(max_calls)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place for a call.

        Raises:
            ServerFull: All places are taken.
        """
        if not self._places.acquire(blocking=False):
            raise ServerFull("too many calls at a time: ask again, or ask another server", FULL_RETRY_S)
        try:
            yield
        finally:
            self._places.release()


class Admission:
    """Lets streams in and knows which of them stand still.

    Args:
        max_streams: Streams at a time.
        stalled_after_s: Waiting for its client after which a stream may lose its place to another.
        clock: Seconds, monotonic.

    Attributes:
        max_streams: Streams at a time.
        ended_streams: How many lost their place.
        starting: Whether the server is not ready yet.
    """

    def __init__(
        self,
        max_streams: int,
        stalled_after_s: float = STALLED_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.max_streams, self._stalled_after_s, self._clock = max_streams, stalled_after_s, clock
        self._lock = threading.Lock()
        self._streams: set[Stream] = set()
        self.ended_streams = 0
        self.starting = False
        self._draining = False

    def check_started(self) -> None:
        """Lets a call pass that is no stream.

        Raises:
            ServerStarting: The server is not ready yet.
        """
        if self.starting:
            raise ServerStarting("the server is reading its datasets: ask another, or again", STARTING_RETRY_S)

    @contextmanager
    def stream(self, cancel: Callable[[], None]) -> Iterator[Stream]:
        """Holds a place for a stream.

        Args:
            cancel: Ends the stream's call at once, from any thread.

        Raises:
            ServerStarting: The server is not ready yet.
            ServerDraining: The server is stopping.
            ServerFull: All places are taken by streams that make progress, or a stalled one has not left yet.
        """
        self.check_started()
        stream = Stream(cancel, self._clock)
        with self._lock:
            if self._draining:
                raise ServerDraining("the server is stopping: ask another", DRAINING_RETRY_S)
            if len(self._streams) >= self.max_streams:
                self._make_room()
            if len(self._streams) >= self.max_streams:
                taken = f"all {self.max_streams} streams of the server are taken"
                raise ServerFull(f"{taken}: ask another server, or raise --max-streams", FULL_RETRY_S)
            self._streams.add(stream)
        try:
            yield stream
        finally:
            with self._lock:
                self._streams.discard(stream)

    def cancel_stalled(self) -> bool:
        """Ends the stream that has waited longest for its client, if it has done so for long enough."""
        with self._lock:
            return self._make_room()

    def drain(self) -> None:
        """Lets nobody in from now on."""
        with self._lock:
            self._draining = True

    @property
    def streams(self) -> int:
        """How many there are now."""
        with self._lock:
            return len(self._streams)

    def _make_room(self) -> bool:
        now = self._clock()
        slowest = max(self._streams, key=lambda stream: stream.stalled_s(now), default=None)
        if slowest is None or slowest.stalled_s(now) < self._stalled_after_s:
            return False
        waited_s = slowest.stalled_s(now)
        _LOG.warning("ending a stream: it has waited %.0f s for its client, and its room is needed", waited_s)
        self.ended_streams += 1
        self._streams.discard(slowest)  # its thread leaves within milliseconds; the reserve covers it until then
        slowest.cancel()
        return True
