"""Chunks, ready to be sent, shared by all streams that want them: drawn once (single flight) and kept for the next.

A chunk is a pure function of its key, so whoever asks gets the same bytes. While streams hold it, or while it is being
drawn, its bytes are taken from the common budget: once, however many streams share it. When nobody holds it any more,
it is kept in what the budget has free, up to a bound, and the least recently used goes first. So kept chunks never cost
a stream its room, and all chunks together never pass the budget.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import NamedTuple

from batch_server.serving.budget import ByteBudget
from inkstream.chunking import Span

# What a chunk occupies besides its messages: Python's and gRPC's objects. It bounds the number of tiny chunks.
OVERHEAD_BYTES = 64 << 10


class ChunkKey(NamedTuple):
    """What a chunk's messages follow from.

    Attributes:
        digest: Of the pipeline; it covers the dataset's fingerprint and the renderer version.
        dataset: Name of its file. The digest leaves it out, but of two files with equal contents one may be rotten.
        epoch: From 0.
        step: From 0.
        rows: Of the global batch.
        compression: A number of the contract's Compression.
        blank_rotten: Whether a rotten record gives a row of paper instead of an error.
    """

    digest: str
    dataset: str
    epoch: int
    step: int
    rows: Span
    compression: int
    blank_rotten: bool


class Job(NamedTuple):
    """One chunk to make.

    Attributes:
        key: Jobs with equal keys make equal messages.
        peak_bytes: Most memory that making it takes.
        make: Returns its messages; runs in a render thread.
    """

    key: ChunkKey
    peak_bytes: int
    make: Callable[[], list[bytes]]


class Chunk:
    """A chunk that is waiting for a render thread, being made or finished.

    Attributes:
        key: Which one.
        size_bytes: What it takes of the memory now: its peak, and less when it is finished.
        made: Its messages.
    """

    made: Future[list[bytes]]

    def __init__(self, key: ChunkKey, size_bytes: int):
        self.key, self.size_bytes = key, size_bytes
        self.holders = 1
        self.finished = False


class CacheSnapshot(NamedTuple):
    """Figures of a cache; the first four count from its beginning.

    Attributes:
        hits: Chunks asked for that were finished.
        awaited: Chunks asked for that another stream was having made.
        misses: Chunks that were begun.
        evictions: Kept chunks that made room.
        kept_bytes: In chunks that no stream holds.
        kept_chunks: Chunks that no stream holds.
    """

    hits: int
    awaited: int
    misses: int
    evictions: int
    kept_bytes: int
    kept_chunks: int


class ChunkCache:
    """Makes chunks once and keeps them.

    Args:
        pool: The render threads.
        budget: Of all chunks together.
        keep_bytes: For chunks that no stream holds, at most; 0 keeps none.
    """

    def __init__(self, pool: Executor, budget: ByteBudget, keep_bytes: int):
        self.budget = budget
        self._pool, self._keep_bytes = pool, keep_bytes
        self._lock = threading.Lock()  # the budget's own lock is taken within it, never the other way round
        self._chunks: dict[ChunkKey, Chunk] = {}
        # Of these, the finished ones that nobody holds, least recently used first.
        self._kept: OrderedDict[Chunk, None] = OrderedDict()
        self._kept_bytes = 0
        self._hits = self._awaited = self._misses = self._evictions = 0

    def try_hold(self, job: Job, leave_bytes: int = 0) -> Chunk | None:
        """The job's chunk, begun if nobody has it, or None where its bytes are not free at once.

        Args:
            job: How to make it.
            leave_bytes: How many of the budget must be free afterwards.
        """
        with self._lock:
            needed_bytes = self._needed_bytes(job)
            if needed_bytes and not self.budget.try_take(needed_bytes, leave_bytes):
                return None
            return self._hold(job, needed_bytes)

    def hold(self, job: Job, timeout_s: float, given_up: Callable[[], bool]) -> Chunk | None:
        """The same, waiting in line for the bytes.

        Args:
            job: How to make it.
            timeout_s: Longest wait.
            given_up: Whether the chunk is no longer needed; looked at whenever something changes.
        """
        if chunk := self.try_hold(job):
            return chunk
        taken_bytes = OVERHEAD_BYTES + job.peak_bytes
        if not self.budget.take(taken_bytes, timeout_s, given_up):
            return None
        with self._lock:
            needed_bytes = self._needed_bytes(job)  # fewer, if another stream has begun it meanwhile
            self.budget.give(taken_bytes - needed_bytes)
            return self._hold(job, needed_bytes)

    def release(self, chunk: Chunk) -> None:
        """Gives a held chunk up. One that nobody wants any more is kept if it is finished, else not begun."""
        with self._lock:
            chunk.holders -= 1
            if chunk.holders:
                return
            if chunk.finished:
                self._keep(chunk)
            elif chunk.made.cancel():
                self._drop(chunk)

    def snapshot(self) -> CacheSnapshot:
        """Figures as they are now."""
        with self._lock:
            return CacheSnapshot(
                self._hits, self._awaited, self._misses, self._evictions, self._kept_bytes, len(self._kept)
            )

    def _needed_bytes(self, job: Job) -> int:
        """What must be taken from the budget to hold the job's chunk."""
        chunk = self._chunks.get(job.key)
        if chunk is None:
            return OVERHEAD_BYTES + job.peak_bytes
        return chunk.size_bytes if chunk in self._kept else 0

    def _hold(self, job: Job, taken_bytes: int) -> Chunk:
        """The job's chunk, begun if nobody has it, with the bytes that it needs."""
        chunk = self._chunks.get(job.key)
        if chunk is None:
            return self._begin(job, taken_bytes)
        if chunk in self._kept:
            del self._kept[chunk]
            self._kept_bytes -= chunk.size_bytes
        if chunk.finished:
            self._hits += 1
        else:
            self._awaited += 1
        chunk.holders += 1
        return chunk

    def _begin(self, job: Job, taken_bytes: int) -> Chunk:
        self._misses += 1
        chunk = self._chunks[job.key] = Chunk(job.key, taken_bytes)
        self._trim()  # before drawing begins, which may use the bytes that kept chunks occupy
        chunk.made = self._pool.submit(self._make, job, chunk)
        return chunk

    def _make(self, job: Job, chunk: Chunk) -> list[bytes]:
        """Runs in a render thread, which never waits for a chunk."""
        try:
            messages = job.make()
        except BaseException:  # each who waits for it gets the error, and the next who asks tries anew
            with self._lock:
                self._drop(chunk)
            raise
        with self._lock:
            self._resize(chunk, min(chunk.size_bytes, OVERHEAD_BYTES + sum(map(len, messages))))
            chunk.finished = True
            if not chunk.holders:
                self._keep(chunk)
        return messages

    def _drop(self, chunk: Chunk) -> None:
        del self._chunks[chunk.key]
        self._resize(chunk, 0)

    def _keep(self, chunk: Chunk) -> None:
        """Moves a chunk that nobody holds from the budget's bytes to those that are free."""
        self.budget.give(chunk.size_bytes)
        self._kept[chunk] = None
        self._kept_bytes += chunk.size_bytes
        self._trim()

    def _resize(self, chunk: Chunk, size_bytes: int) -> None:
        surplus_bytes, chunk.size_bytes = chunk.size_bytes - size_bytes, size_bytes
        self.budget.give(surplus_bytes)

    def _trim(self) -> None:
        """Evicts what the bound, or the free part of the budget, does not hold."""
        while self._kept and self._kept_bytes > min(self._keep_bytes, self.budget.free_bytes):
            chunk, _ = self._kept.popitem(last=False)
            del self._chunks[chunk.key]
            self._kept_bytes -= chunk.size_bytes
            self._evictions += 1
