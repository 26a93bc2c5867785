"""Chunks made ahead of their stream, in order and within bounds in bytes.

Three bounds hold at a time: what one stream may have ahead, what all streams may have together, and the number of
render threads. Where a bound is met the stream waits; nothing grows. Only a stream that has nothing ahead at all waits
for its turn at the common budget, and those turns come in order, so no stream starves behind greedy ones.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from typing import NamedTuple

from inkstream.errors import ServerFull

# What one stream may have ahead: about seven of the largest usual chunks being drawn, or sixty that are finished.
STREAM_BYTES = 64 << 20
# How often a stream that waits for room asks that a stalled one be ended, and after how long it gives up.
_ASK_S = 1.0
_GIVE_UP_S = 30.0
# What a finished chunk occupies besides its messages: Python's and gRPC's objects. It bounds the number of tiny chunks.
_OVERHEAD_BYTES = 64 << 10


class Job(NamedTuple):
    """One chunk to make.

    Attributes:
        peak_bytes: Most memory that making it takes.
        make: Returns its messages; runs in a render thread.
    """

    peak_bytes: int
    make: Callable[[], list[bytes]]


class ByteBudget:
    """Bytes that all streams share.

    Args:
        total_bytes: How many there are.
    """

    def __init__(self, total_bytes: int):
        self.total_bytes = total_bytes
        self._changed = threading.Condition()
        self._free_bytes = total_bytes
        self._waiting: deque[object] = deque()

    def try_take(self, size_bytes: int) -> bool:
        """Takes bytes if they are free and nobody waits for some."""
        with self._changed:
            if self._waiting or size_bytes > self._free_bytes:
                return False
            self._free_bytes -= size_bytes
            return True

    def take(self, size_bytes: int, timeout_s: float, given_up: Callable[[], bool]) -> bool:
        """Waits in line for bytes.

        Args:
            size_bytes: How many, at most `total_bytes`.
            timeout_s: Longest wait.
            given_up: Whether they are no longer needed; looked at whenever something changes.

        Returns:
            Whether they were taken.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)

            def ready() -> bool:
                return given_up() or (self._waiting[0] is ticket and size_bytes <= self._free_bytes)

            taken = self._changed.wait_for(ready, timeout_s) and not given_up()
            self._waiting.remove(ticket)
            if taken:
                self._free_bytes -= size_bytes
            self._changed.notify_all()  # the next in line
            return taken

    def give(self, size_bytes: int) -> None:
        """Gives bytes back."""
        with self._changed:
            self._free_bytes += size_bytes
            self._changed.notify_all()

    def wake(self) -> None:
        """Lets those who wait look again whether they have given up."""
        with self._changed:
            self._changed.notify_all()

    @property
    def taken_bytes(self) -> int:
        """How many are in use now."""
        with self._changed:
            return self.total_bytes - self._free_bytes


class _Ahead:
    """One chunk that is waiting, being made or finished, and the bytes that it holds."""

    def __init__(self, job: Job, budget: ByteBudget, pool: Executor):
        self._budget = budget
        self._lock = threading.Lock()
        self.held_bytes = job.peak_bytes
        self.made: Future[list[bytes]] = pool.submit(self._run, job)

    def _run(self, job: Job) -> list[bytes]:
        messages = job.make()
        self._hold(min(job.peak_bytes, _OVERHEAD_BYTES + sum(map(len, messages))))
        return messages

    def _hold(self, size_bytes: int) -> None:
        with self._lock:
            self.held_bytes, surplus = size_bytes, self.held_bytes - size_bytes
        self._budget.give(surplus)

    def release(self) -> None:
        """Gives back all that the chunk holds, once it is not being made any more."""
        self.made.cancel()
        self.made.add_done_callback(lambda _: self._hold(0))


class Prefetch:
    """Makes the chunks of one stream.

    Args:
        pool: The render threads.
        budget: What all streams share.
        need_room: Asks that a stalled stream be ended, because this one waits for its bytes.
        stream_bytes: What this stream may have ahead.
    """

    def __init__(
        self, pool: Executor, budget: ByteBudget, need_room: Callable[[], object], stream_bytes: int = STREAM_BYTES
    ):
        self._pool, self._budget, self._need_room, self._stream_bytes = pool, budget, need_room, stream_bytes
        self._lock = threading.Lock()
        self._ahead: deque[_Ahead] = deque()
        self._closed = False

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
            while job and self._has_room(job):
                self._start(job)
                job = next(coming, None)
            yield self._first().made.result()
            self._drop_first()

    def close(self) -> None:
        """Gives everything up, from any thread; a handler that waits here goes on."""
        with self._lock:
            self._closed = True
            ahead, self._ahead = self._ahead, deque()
        for chunk in ahead:
            chunk.release()
        self._budget.wake()

    def _first(self) -> _Ahead:
        with self._lock:
            if self._closed:
                raise CancelledError
            return self._ahead[0]

    def _drop_first(self) -> None:
        with self._lock:
            if self._closed:
                raise CancelledError
            sent = self._ahead.popleft()
        sent.release()

    def _has_room(self, job: Job) -> bool:
        """Takes the bytes for a job; waits for them only where nothing else is under way."""
        with self._lock:
            ahead_bytes = sum(chunk.held_bytes for chunk in self._ahead)
        if ahead_bytes:
            return ahead_bytes + job.peak_bytes <= self._stream_bytes and self._budget.try_take(job.peak_bytes)
        deadline = time.monotonic() + _GIVE_UP_S
        while not self._budget.take(job.peak_bytes, _ASK_S, lambda: self._closed):
            if self._closed:
                raise CancelledError
            if time.monotonic() > deadline:
                raise ServerFull("the server's memory is taken: ask another, or raise --memory", 1.0)
            self._need_room()
        return True

    def _start(self, job: Job) -> None:
        with self._lock:
            if not self._closed:
                self._ahead.append(_Ahead(job, self._budget, self._pool))
                return
        self._budget.give(job.peak_bytes)
        raise CancelledError
