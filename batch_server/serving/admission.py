"""Who may call: a bounded number of streams, none while draining, and the room of a stalled one for a new one.

gRPC's own limit counts health checks too and gives no reason, and a call that waits for a thread waits without a
bound; so every allowed stream has a thread, and one more is refused at once.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inkstream.errors import ServerDraining, ServerFull

_LOG = logging.getLogger(__name__)

# When to ask again. A range takes about a tenth of a second; while draining, another server should be asked.
FULL_RETRY_S = 0.5
DRAINING_RETRY_S = 5.0

# A client that has taken nothing for so long may lose its stream to one that wants to begin. A live client reads all
# it asks for at once (it reserves the memory first), so seconds of silence mean a stopped process or a dead network.
STALLED_AFTER_S = 10.0


class Stream:
    """One admitted stream.

    Args:
        cancel: Ends the stream's call at once, from any thread.
    """

    def __init__(self, cancel: Callable[[], None]):
        self._cancel = cancel
        self._sending_since: float | None = None

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Around handing a message to the network, which blocks while the client takes nothing."""
        self._sending_since = time.monotonic()
        try:
            yield
        finally:
            self._sending_since = None

    def stalled_s(self, now: float) -> float:
        """For how long the client has taken nothing of what waits for it."""
        since = self._sending_since
        return 0.0 if since is None else now - since

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
        stalled_after_s: Silence after which a client may lose its stream to another.

    Attributes:
        max_streams: Streams at a time.
    """

    def __init__(self, max_streams: int, stalled_after_s: float = STALLED_AFTER_S):
        self.max_streams, self._stalled_after_s = max_streams, stalled_after_s
        self._lock = threading.Lock()
        self._streams: set[Stream] = set()
        self._draining = False

    @contextmanager
    def stream(self, cancel: Callable[[], None]) -> Iterator[Stream]:
        """Holds a place for a stream.

        Args:
            cancel: Ends the stream's call at once, from any thread.

        Raises:
            ServerDraining: The server is stopping.
            ServerFull: All places are taken by streams that make progress, or a stalled one has not left yet.
        """
        stream = Stream(cancel)
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
        """Ends the stream whose client has been silent longest, if it has been so for long enough."""
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
        now = time.monotonic()
        slowest = max(self._streams, key=lambda stream: stream.stalled_s(now), default=None)
        if slowest is None or slowest.stalled_s(now) < self._stalled_after_s:
            return False
        _LOG.warning(
            "ending a stream: its client took nothing for %.0f s, and its room is needed", slowest.stalled_s(now)
        )
        self._streams.discard(slowest)  # its thread leaves within milliseconds; the reserve covers it until then
        slowest.cancel()
        return True
