import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from batch_server.serving.prefetch import ByteBudget, Job, Prefetch
from inkstream.errors import ServerFull

WAIT_S = 20
MIB = 1 << 20


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


def test_chunks_come_in_order_and_every_byte_is_given_back(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(16 * MIB)
    prefetch = Prefetch(pool, budget, no_need, stream_bytes=4 * MIB)
    assert numbers(prefetch.in_order(Job(MIB, chunk(number)) for number in range(100))) == list(range(100))
    prefetch.close()
    assert budget.taken_bytes == 0


def test_one_chunk_larger_than_the_streams_share_passes(pool: ThreadPoolExecutor) -> None:
    prefetch = Prefetch(pool, ByteBudget(16 * MIB), no_need, stream_bytes=MIB)
    assert numbers(prefetch.in_order(Job(10 * MIB, chunk(number)) for number in range(3))) == [0, 1, 2]


@pytest.mark.parametrize(("budget_mib", "stream_mib", "most"), [(100, 10, 10), (10, 100, 10)])
def test_a_consumer_that_stops_stops_the_making(
    pool: ThreadPoolExecutor, budget_mib: int, stream_mib: int, most: int
) -> None:
    """Jobs and finished chunks of 1 MiB; the bounds are the stream's, then the budget's."""
    made = itertools.count()
    budget = ByteBudget(budget_mib * MIB)
    prefetch = Prefetch(pool, budget, no_need, stream_bytes=stream_mib * MIB)

    def make() -> list[bytes]:
        next(made)
        return [bytes(MIB)]

    coming = prefetch.in_order(Job(MIB, make) for _ in range(1000))
    next(coming)
    assert pool.submit(int).result(WAIT_S) == 0  # behind all that was begun
    pool.submit(int).result(WAIT_S)
    assert budget.taken_bytes <= most * MIB
    assert next(made) <= most
    prefetch.close()
    pool.submit(int).result(WAIT_S)


def test_a_failure_comes_after_the_chunks_before_it(pool: ThreadPoolExecutor) -> None:
    def fail() -> list[bytes]:
        raise ZeroDivisionError("chunk 2")

    budget = ByteBudget(16 * MIB)
    prefetch = Prefetch(pool, budget, no_need)
    coming = prefetch.in_order([Job(MIB, chunk(0)), Job(MIB, chunk(1)), Job(MIB, fail), Job(MIB, chunk(3))])
    assert numbers(itertools.islice(coming, 2)) == [0, 1]
    with pytest.raises(ZeroDivisionError, match="chunk 2"):
        next(coming)
    prefetch.close()
    pool.shutdown()
    assert budget.taken_bytes == 0


def test_closing_frees_a_handler_that_waits_for_a_chunk(pool: ThreadPoolExecutor) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow() -> list[bytes]:
        begun.set()
        assert gate.wait(WAIT_S)
        return [b"done"]

    budget = ByteBudget(16 * MIB)
    prefetch = Prefetch(pool, budget, no_need)
    with ThreadPoolExecutor(1) as handler:
        waiting = handler.submit(list, prefetch.in_order(Job(MIB, slow) for _ in range(8)))
        assert begun.wait(WAIT_S)
        prefetch.close()
        gate.set()  # a chunk that is being drawn is drawn to its end; the others are not begun
        with pytest.raises(CancelledError):
            waiting.result(WAIT_S)
    pool.shutdown()
    assert budget.taken_bytes == 0


def test_closing_frees_a_handler_that_waits_for_bytes(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(MIB)
    assert budget.try_take(MIB)
    asked = threading.Event()
    prefetch = Prefetch(pool, budget, asked.set)
    with ThreadPoolExecutor(1) as handler:
        waiting = handler.submit(list, prefetch.in_order([Job(MIB, chunk(0))]))
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
        next(Prefetch(pool, budget, lambda: None).in_order([Job(MIB, chunk(0))]))


def test_bytes_are_given_in_the_order_in_which_streams_began_to_wait() -> None:
    budget = ByteBudget(10)
    assert budget.try_take(10)
    served: list[int] = []

    def take(size: int, waits: threading.Event) -> None:
        assert budget.take(size, WAIT_S, lambda: waits.set() or False)  # type: ignore[func-returns-value]
        served.append(size)
        budget.give(size)

    threads = []
    for size in (8, 1, 2):
        waits = threading.Event()
        threads.append(threading.Thread(target=take, args=(size, waits)))
        threads[-1].start()
        assert waits.wait(WAIT_S)
    budget.give(5)  # enough for the second and the third, but the first one is first
    assert not budget.try_take(1), "nobody overtakes those who wait"
    assert served == []
    budget.give(5)
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(served) == [1, 2, 8]
    assert budget.taken_bytes == 0


def test_streams_that_share_a_small_budget_all_come_to_their_end(pool: ThreadPoolExecutor) -> None:
    budget = ByteBudget(3 * MIB)
    with ThreadPoolExecutor(8) as handlers:
        streams = [Prefetch(pool, budget, lambda: None) for _ in range(8)]
        ends = [
            handlers.submit(numbers, stream.in_order(Job(MIB, chunk(number, MIB)) for number in range(50)))
            for stream in streams
        ]
        assert [end.result(WAIT_S) for end in ends] == [list(range(50))] * 8
    for stream in streams:
        stream.close()
    assert budget.taken_bytes == 0
