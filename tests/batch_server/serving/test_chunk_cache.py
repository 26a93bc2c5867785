"""The cache of chunks: drawn once, shared, kept within its bounds, whatever streams do in whatever order."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batch_server.serving.budget import ByteBudget
from batch_server.serving.chunk_cache import OVERHEAD_BYTES, Chunk, ChunkCache, ChunkKey, Job
from inkstream.chunking import Span

WAIT_S = 20
MIB = 1 << 20


def key(step: int) -> ChunkKey:
    return ChunkKey("digest", "sketches", 0, step, Span(0, 1), 1, False)


def job(step: int, make: Callable[[], list[bytes]] | None = None, peak_bytes: int = MIB) -> Job:
    return Job(key(step), peak_bytes, make or (lambda: [bytes([step]) * 1000]))


def held(chunk: Chunk | None) -> Chunk:
    assert chunk is not None, "its bytes are free"
    return chunk


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def test_a_chunk_that_is_being_drawn_is_awaited_and_survives_its_first_asker(pool: ThreadPoolExecutor) -> None:
    begun, gate, drawn = threading.Event(), threading.Event(), []

    def draw() -> list[bytes]:
        drawn.append(1)
        begun.set()
        assert gate.wait(WAIT_S)
        return [b"chunk"]

    cache = ChunkCache(pool, ByteBudget(16 * MIB), MIB)
    first = held(cache.try_hold(job(0, draw)))
    assert begun.wait(WAIT_S)
    others = [held(cache.try_hold(job(0, draw))) for _ in range(5)]
    assert cache.budget.taken_bytes == MIB + OVERHEAD_BYTES, "shared bytes are taken once"
    cache.release(first)
    gate.set()
    assert [chunk.made.result(WAIT_S) for chunk in others] == [[b"chunk"]] * 5
    for chunk in others:
        cache.release(chunk)
    assert held(cache.try_hold(job(0, draw))).made.result(WAIT_S) == [b"chunk"]
    assert len(drawn) == 1
    assert cache.snapshot()[:3] == (1, 5, 1)


def test_a_chunk_that_still_waits_for_a_thread_goes_when_its_last_asker_does(pool: ThreadPoolExecutor) -> None:
    gate, drawn = threading.Event(), []
    for _ in range(2):
        pool.submit(gate.wait, WAIT_S)
    cache = ChunkCache(pool, ByteBudget(16 * MIB), MIB)
    first, second = (held(cache.try_hold(job(0, lambda: drawn.append(1) or []))) for _ in range(2))  # type: ignore[func-returns-value]
    cache.release(first)
    assert cache.budget.taken_bytes
    cache.release(second)
    assert cache.budget.taken_bytes == 0
    gate.set()
    with pytest.raises(CancelledError):
        second.made.result(WAIT_S)
    assert not drawn
    again = held(cache.try_hold(job(0)))
    assert again.made.result(WAIT_S) == [bytes(1000)]


def test_an_error_reaches_everyone_who_waits_and_is_not_kept(pool: ThreadPoolExecutor) -> None:
    gate = threading.Event()

    def fail() -> list[bytes]:
        assert gate.wait(WAIT_S)
        raise ZeroDivisionError

    cache = ChunkCache(pool, ByteBudget(16 * MIB), MIB)
    waiting = [held(cache.try_hold(job(0, fail))) for _ in range(3)]
    gate.set()
    for chunk in waiting:
        assert isinstance(chunk.made.exception(WAIT_S), ZeroDivisionError)
        cache.release(chunk)
    assert cache.budget.taken_bytes == 0
    assert held(cache.try_hold(job(0))).made.result(WAIT_S) == [bytes(1000)]


def test_kept_chunks_make_room_for_those_that_are_drawn(pool: ThreadPoolExecutor) -> None:
    cache = ChunkCache(pool, ByteBudget(4 * MIB), keep_bytes=4 * MIB)
    for step in range(3):
        chunk = held(cache.try_hold(job(step, lambda: [bytes(MIB)], peak_bytes=MIB)))
        chunk.made.result(WAIT_S)
        cache.release(chunk)
    assert cache.snapshot().kept_chunks == 3
    large = held(cache.try_hold(job(9, peak_bytes=3 * MIB)))
    assert cache.snapshot().kept_chunks == 0 and cache.snapshot().evictions == 3
    large.made.result(WAIT_S)


def test_a_chunk_that_nobody_wants_any_more_when_it_is_drawn_is_kept(pool: ThreadPoolExecutor) -> None:
    begun, gate = threading.Event(), threading.Event()

    def draw() -> list[bytes]:
        begun.set()
        assert gate.wait(WAIT_S)
        return [b"chunk"]

    cache = ChunkCache(pool, ByteBudget(16 * MIB), MIB)
    chunk = held(cache.try_hold(job(0, draw)))
    assert begun.wait(WAIT_S)
    cache.release(chunk)
    assert cache.budget.taken_bytes, "it is being drawn"
    gate.set()
    assert chunk.made.result(WAIT_S) == [b"chunk"]
    assert cache.budget.taken_bytes == 0
    assert cache.snapshot().kept_chunks == 1


def test_the_chunk_that_was_used_longest_ago_goes_first(pool: ThreadPoolExecutor) -> None:
    cache = ChunkCache(pool, ByteBudget(16 * MIB), keep_bytes=2 * (OVERHEAD_BYTES + 1000))

    def use(step: int) -> None:
        chunk = held(cache.try_hold(job(step)))
        chunk.made.result(WAIT_S)
        cache.release(chunk)

    for step in (0, 1, 0, 2):  # 2 evicts 1, since 0 was used after it
        use(step)
    misses = cache.snapshot().misses
    use(0)
    assert cache.snapshot().misses == misses
    use(1)
    assert cache.snapshot().misses == misses + 1


def test_streams_that_wait_for_bytes_for_one_chunk_share_it(pool: ThreadPoolExecutor) -> None:
    drawn: list[int] = []
    cache = ChunkCache(pool, ByteBudget(4 * MIB), MIB)
    assert cache.budget.try_take(4 * MIB)
    in_line = [threading.Event() for _ in range(3)]

    def wait(waits: threading.Event) -> Chunk | None:
        wanted = job(0, lambda: drawn.append(1) or [bytes(MIB)])  # type: ignore[func-returns-value]
        return cache.hold(wanted, WAIT_S, lambda: waits.set() or False)  # type: ignore[func-returns-value]

    with ThreadPoolExecutor(3) as streams:
        waiting = [streams.submit(wait, waits) for waits in in_line]
        assert all(waits.wait(WAIT_S) for waits in in_line)
        cache.budget.give(4 * MIB)
        chunks = [held(each.result(WAIT_S)) for each in waiting]
    assert chunks[0].made.result(WAIT_S) == [bytes(MIB)]
    assert chunks == [chunks[0]] * 3 and len(drawn) == 1
    assert cache.budget.taken_bytes == MIB + OVERHEAD_BYTES
    for chunk in chunks:
        cache.release(chunk)
    assert cache.budget.taken_bytes == 0


class Thread(Executor):
    """A render thread whose steps the test takes itself, so that every order of events can happen."""

    def __init__(self) -> None:
        self.queued: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, run: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.queued.append((future, lambda: run(*arguments, **options)))
        return future

    def step(self) -> None:
        future, run = self.queued.pop(0)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(run())
            except ZeroDivisionError as error:
                future.set_exception(error)


class Streams(RuleBasedStateMachine):
    """Streams that hold and give up chunks of 1 to 4 units in any order, while a thread makes them or fails."""

    UNIT = 4 * OVERHEAD_BYTES
    TOTAL, KEEP = 12 * UNIT, 5 * UNIT

    def __init__(self) -> None:
        super().__init__()
        self.thread = Thread()
        self.cache = ChunkCache(self.thread, ByteBudget(self.TOTAL), self.KEEP)
        self.holding: list[Chunk] = []
        self.asked = 0
        self.failing: set[int] = set()

    def job(self, step: int) -> Job:
        size_bytes = (1 + step % 4) * self.UNIT

        def make() -> list[bytes]:
            if step in self.failing:
                raise ZeroDivisionError
            return [step.to_bytes(4, "little") * (size_bytes // 8)]

        return job(step, make, peak_bytes=size_bytes)

    @rule(step=st.integers(0, 9), leave=st.booleans())
    def hold(self, step: int, leave: bool) -> None:
        chunk = self.cache.try_hold(self.job(step), self.TOTAL // 2 if leave else 0)
        if chunk is not None:
            self.asked += 1
            self.holding.append(chunk)

    @rule(step=st.integers(0, 9))
    def hold_in_line(self, step: int) -> None:
        chunk = self.cache.hold(self.job(step), 0, lambda: False)
        if chunk is not None:
            self.asked += 1
            self.holding.append(chunk)

    @precondition(lambda self: self.holding)
    @rule(which=st.integers(0, 99))
    def release(self, which: int) -> None:
        self.cache.release(self.holding.pop(which % len(self.holding)))

    @precondition(lambda self: self.thread.queued)
    @rule()
    def make(self) -> None:
        self.thread.step()

    @rule(step=st.integers(0, 9))
    def begin_or_cease_to_fail(self, step: int) -> None:
        self.failing ^= {step}

    @invariant()
    def bytes_are_bounded_and_no_held_chunk_is_lost(self) -> None:
        figures = self.cache.snapshot()
        taken_bytes = self.cache.budget.taken_bytes
        assert 0 <= taken_bytes and taken_bytes + figures.kept_bytes <= self.TOTAL
        assert figures.kept_bytes <= self.KEEP
        assert taken_bytes >= sum(chunk.size_bytes for chunk in set(self.holding))
        assert figures.hits + figures.awaited + figures.misses == self.asked
        for chunk in self.holding:
            if chunk.made.done():
                assert chunk.made.exception() or chunk.made.result()[0][:4] == chunk.key.step.to_bytes(4, "little")

    def teardown(self) -> None:
        for chunk in self.holding:
            self.cache.release(chunk)
        while self.thread.queued:
            self.thread.step()
        assert self.cache.budget.taken_bytes == 0


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=50, stateful_step_count=40)
