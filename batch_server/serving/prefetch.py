"""Chunks made ahead of their stream, in order and within bounds in bytes.

Three bounds hold at a time: what one stream may have ahead, what all streams may have together, and the number of
render threads. Where a bound is met the stream waits; nothing grows. Only a stream that has nothing ahead at all waits
for its turn at the common budget, and half of the budget is left for such streams: those that look ahead while their
clients take nothing cannot stop the others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError

from batch_server.serving.chunk_cache import Chunk, ChunkCache, Job
from batch_server.serving.figures import WaitingFor
from inkstream.errors import ServerFull

# What one stream may have ahead: about seven of the largest usual chunks being drawn, or sixty that are finished.
STREAM_BYTES = 64 << 20
# How often a stream that waits for room asks that a stalled one be ended, and after how long it gives up: before the
# client's patience with a call ends (15 s), which would then not know that it should ask another server.
_ASK_S = 1.0
_GIVE_UP_S = 10.0


class Prefetch:
    """Makes the chunks of one stream.

    Args:
        cache: Where chunks are made, and shared with other streams.
        need_room: Asks that a stalled stream be ended, because this one lacks bytes.
        stream_bytes: What this stream may have ahead.
        turn: Told what the stream waits for from now on.
    """

    def __init__(
        self,
        cache: ChunkCache,
        need_room: Callable[[], object],
        stream_bytes: int = STREAM_BYTES,
        turn: Callable[[WaitingFor], object] = lambda what: None,
    ):
        self._cache, self._need_room, self._stream_bytes, self._turn = cache, need_room, stream_bytes, turn
        self._lock = threading.Lock()
        self._ahead: deque[Chunk] = deque()
        self._closed = False
        self._look = threading.Event()  # set whenever what a handler may wait for has happened

    def in_order(self, jobs: Iterable[Job]) -> Iterator[list[bytes]]:
        """The messages of each chunk; those of one are given up when the next is asked for.

        Raises:
            CancelledError: The stream was closed meanwhile.
            ServerFull: No room came free in time.
            Exception: What making the chunk raised, as soon as the chunks before it are through.
        """
        coming = iter(jobs)
        job = next(coming, None)
        while job or self._ahead:
            while job and self._started(job):
                job = next(coming, None)
            yield self._first()
            self._drop_first()
        self._raise_if_closed()  # if that is why nothing is ahead

    def close(self) -> None:
        """Gives everything up, from any thread; a handler that waits here goes on."""
        with self._lock:
            self._closed = True
            ahead, self._ahead = self._ahead, deque()
        self._look.set()
        for chunk in ahead:
            self._cache.release(chunk)
        self._cache.budget.wake()

    def _first(self) -> list[bytes]:
        """The messages of the first chunk, once they are made. They may be made for other streams too, so closing
        this one does not cancel them, but ends the wait.
        """
        with self._lock:
            self._raise_if_closed()
            made = self._ahead[0].made
        if not made.done():
            made.add_done_callback(lambda _: self._look.set())
            self._turn(WaitingFor.DRAWING)
            while not (made.done() or self._closed):
                self._look.wait()
                self._look.clear()
            self._turn(WaitingFor.NOTHING)
            self._raise_if_closed()
        return made.result()

    def _drop_first(self) -> None:
        with self._lock:
            self._raise_if_closed()
            sent = self._ahead.popleft()
        self._cache.release(sent)

    def _started(self, job: Job) -> bool:
        """Whether the job's chunk is ahead now; waits for its bytes only where nothing else is under way."""
        with self._lock:
            ahead_bytes = [chunk.size_bytes for chunk in self._ahead]
        if ahead_bytes:
            chunk = self._look_ahead(job, sum(ahead_bytes))
        else:
            chunk = self._cache.try_hold(job) or self._wait_for(job)
        if chunk is None:
            return False
        with self._lock:
            if not self._closed:
                self._ahead.append(chunk)
                return True
        self._cache.release(chunk)
        raise CancelledError

    def _look_ahead(self, job: Job, ahead_bytes: int) -> Chunk | None:
        if ahead_bytes + job.peak_bytes > self._stream_bytes:
            return None
        chunk = self._cache.try_hold(job, leave_bytes=self._cache.budget.total_bytes // 2)
        if chunk is None:
            self._need_room()
        return chunk

    def _wait_for(self, job: Job) -> Chunk:
        self._turn(WaitingFor.MEMORY)
        deadline = time.monotonic() + _GIVE_UP_S
        while (chunk := self._cache.hold(job, _ASK_S, lambda: self._closed)) is None:
            self._raise_if_closed()
            if time.monotonic() > deadline:
                raise ServerFull("the server's memory is taken: ask another, or raise --memory", 1.0)
            self._need_room()
        self._turn(WaitingFor.NOTHING)
        return chunk

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise CancelledError
