import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from batch_server.serving.budget import ByteBudget
from batch_server.serving.chunk_cache import Chunk, ChunkCache, ChunkKey, Job
from batch_server.serving.prefetch import Prefetch
from inkstream.chunking import Span
from inkstream.errors import ServerFull

WAIT_S = 20
MIB = 1 << 20
DIGESTS = itertools.count()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def chunk(number: int, size_bytes: int = 1000) -> Callable[[], list[bytes]]:
    return lambda: [number.to_bytes(4, "little") + bytes(size_bytes - 4)]


def numbers(chunks: Iterator[list[bytes]]) -> list[int]:
    return [int.from_bytes(messages[0][:4], "little") for messages in chunks]


def no_need() -> None:
    raise AssertionError("must not ask for room")


def jobs(*makes: Callable[[], list[bytes]], peak_bytes: int = MIB) -> Iterator[Job]:
    """One job for each, of one stream's own: no two of them share a chunk."""
    digest = next(DIGESTS)
    for step, make in enumerate(makes):
        yield Job(ChunkKey(f"{digest}", "sketches", 0, step, Span(0, 1), 1, False), peak_bytes, make)


def cache_of(pool: ThreadPoolExecutor, budget: ByteBudget) -> ChunkCache:
    return ChunkCache(pool, budget, keep_bytes=MIB)


def test_chunks_come_in_order_and_every_byte_is_given_back(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(16 * MIB)
    prefetch = Prefetch(cache_of(pool, budget), no_need, stream_bytes=4 * MIB)
    assert numbers(prefetch.in_order(jobs(*map(chunk, range(100))))) == list(range(100))
    prefetch.close()
    assert budget.taken_bytes == 0


def test_one_chunk_larger_than_the_streams_share_passes(pool: ThreadPoolExecutor) -> None:
    prefetch = Prefetch(cache_of(pool, ByteBudget(16 * MIB)), no_need, stream_bytes=MIB)
    assert numbers(prefetch.in_order(jobs(*map(chunk, range(3)), peak_bytes=10 * MIB))) == [0, 1, 2]


@pytest.mark.parametrize(("budget_mib", "stream_mib", "most"), [(100, 10, 10), (10, 100, 5)])
def test_a_consumer_that_stops_stops_the_making(
    pool: ThreadPoolExecutor, budget_mib: int, stream_mib: int, most: int
) -> None:
    """Jobs and finished chunks of 1 MiB; the bounds are the stream's, then half of the budget."""
    made = itertools.count()
    budget = ByteBudget(budget_mib * MIB)
    asked = itertools.count()
    prefetch = Prefetch(cache_of(pool, budget), lambda: next(asked), stream_bytes=stream_mib * MIB)

    def make() -> list[bytes]:
        next(made)
        return [bytes(MIB)]

    coming = prefetch.in_order(jobs(*[make] * 1000))
    next(coming)
    assert pool.submit(int).result(WAIT_S) == 0  # behind all that was begun
    pool.submit(int).result(WAIT_S)
    assert budget.taken_bytes <= most * MIB
    assert next(made) <= most
    assert bool(next(asked)) == (budget_mib < stream_mib), "where the budget is short, stalled streams must be ended"
    prefetch.close()
    pool.submit(int).result(WAIT_S)


def test_a_failure_comes_after_the_chunks_before_it(pool: ThreadPoolExecutor) -> None:
    def fail() -> list[bytes]:
        raise ZeroDivisionError("chunk 2")

    budget = ByteBudget(16 * MIB)
    prefetch = Prefetch(cache_of(pool, budget), no_need)
    coming = prefetch.in_order(jobs(chunk(0), chunk(1), fail, chunk(3)))
    assert numbers(itertools.islice(coming, 2)) == [0, 1]
    with pytest.raises(ZeroDivisionError, match="chunk 2"):
        next(coming)
    prefetch.close()
    pool.shutdown()
    assert budget.taken_bytes == 0


def test_closing_between_two_chunks_is_not_the_end_of_the_range(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_of(pool, ByteBudget(16 * MIB))
    prefetch = Prefetch(cache, no_need)
    release = cache.release

    def release_and_close(made: Chunk) -> None:
        release(made)
        prefetch.close()

    coming = prefetch.in_order(jobs(chunk(0), chunk(1)))
    assert numbers(itertools.islice(coming, 1)) == [0]
    monkeypatch.setattr(cache, "release", release_and_close)
    with pytest.raises(CancelledError):
        next(coming)


def test_closing_frees_a_handler_that_waits_for_a_chunk(pool: ThreadPoolExecutor) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow() -> list[bytes]:
        begun.set()
        assert gate.wait(WAIT_S)
        return [b"done"]

    budget = ByteBudget(16 * MIB)
    prefetch = Prefetch(cache_of(pool, budget), lambda: None)
    with ThreadPoolExecutor(1) as handler:
        waiting = handler.submit(list, prefetch.in_order(jobs(*[slow] * 8)))
        assert begun.wait(WAIT_S)
        prefetch.close()
        with pytest.raises(CancelledError):
            waiting.result(WAIT_S)
        gate.set()  # a chunk that is being drawn is drawn to its end; the others are not begun
    pool.shutdown()
    assert budget.taken_bytes == 0


def test_closing_frees_a_handler_that_waits_for_bytes(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(MIB)
    assert budget.try_take(MIB)
    asked = threading.Event()
    prefetch = Prefetch(cache_of(pool, budget), asked.set)
    with ThreadPoolExecutor(1) as handler:
        waiting = handler.submit(list, prefetch.in_order(jobs(chunk(0))))
        assert asked.wait(WAIT_S), "a stream without room must ask that a stalled one be ended"
        prefetch.close()
        with pytest.raises(CancelledError):
            waiting.result(WAIT_S)
    budget.give(MIB)
    assert budget.taken_bytes == 0


def test_no_room_for_long_is_an_error(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_server.serving.prefetch._ASK_S", 0.01)
    monkeypatch.setattr("batch_server.serving.prefetch._GIVE_UP_S", 0.05)
    budget = ByteBudget(MIB)
    assert budget.try_take(MIB)
    with pytest.raises(ServerFull, match="memory"):
        next(Prefetch(cache_of(pool, budget), lambda: None).in_order(jobs(chunk(0))))


def test_streams_that_share_a_small_budget_all_come_to_their_end(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(3 * MIB)
    cache = cache_of(pool, budget)
    with ThreadPoolExecutor(8) as handlers:
        streams = [Prefetch(cache, lambda: None) for _ in range(8)]
        ends = [
            handlers.submit(numbers, stream.in_order(jobs(*(chunk(number, MIB) for number in range(50)))))
            for stream in streams
        ]
        assert [end.result(WAIT_S) for end in ends] == [list(range(50))] * 8
    for stream in streams:
        stream.close()
    assert budget.taken_bytes == 0


def test_streams_that_stand_still_leave_the_others_room(pool: ThreadPoolExecutor) -> None:
    """Eight streams whose clients read nothing look ahead as far as they may; a ninth comes to its end."""
    cache = cache_of(pool, ByteBudget(32 * MIB))
    stalled = [Prefetch(cache, lambda: None) for _ in range(8)]
    for stream in stalled:
        next(stream.in_order(jobs(*(chunk(number, MIB) for number in range(50)))))
    healthy = Prefetch(cache, lambda: None)
    assert numbers(healthy.in_order(jobs(*(chunk(number, MIB) for number in range(50))))) == list(range(50))
    for stream in (*stalled, healthy):
        stream.close()
