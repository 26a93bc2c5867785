import threading

from batch_server.serving.budget import ByteBudget

WAIT_S = 20


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


def test_what_must_stay_free_is_not_taken() -> None:
    budget = ByteBudget(10)
    assert budget.try_take(4, leave_bytes=6)
    assert not budget.try_take(1, leave_bytes=6)
    assert budget.try_take(6)
    assert budget.free_bytes == 0
