"""How many servers are needed: the arithmetic, what is forgotten, and what no client can do to it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_server.serving.demand import KEEP_DEMAND_S, MAX_DEMAND_ROWS_PER_S, MAX_STREAMS, DemandTable
from batch_server.serving.recent import HALF_LIFE_S, DecayingSum, Recent


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> DemandTable:
    return DemandTable(clock)


def test_demand_times_cost_is_the_threads_needed(table: DemandTable) -> None:
    table.drawn("gray", 2.0)
    table.delivered("gray", 1000)  # 2 ms of a thread for a row
    table.asked(1, "gray", 3000.0)
    table.asked(2, "gray", 500.0)
    report = table.report()
    assert (report.streams, report.rows_per_s) == (2, 3500.0)
    assert report.threads == pytest.approx(3500 * 0.002)


def test_rows_from_the_cache_make_a_row_cheaper(table: DemandTable) -> None:
    table.drawn("gray", 2.0)
    table.delivered("gray", 1000)
    table.delivered("gray", 1000)  # again, to another trainer
    assert table.thread_s_per_row("gray") == pytest.approx(0.001)


def test_a_pipeline_costs_what_it_costs_itself(table: DemandTable) -> None:
    for pipeline, seconds in (("small", 1.0), ("large", 9.0)):
        table.drawn(pipeline, seconds)
        table.delivered(pipeline, 100)
    table.asked(1, "large", 10.0)
    assert table.report().threads == pytest.approx(0.9)


def test_the_last_demand_of_a_stream_counts_and_for_half_a_minute(table: DemandTable, clock: Clock) -> None:
    table.drawn("gray", 1.0)
    table.delivered("gray", 1)
    table.asked(1, "gray", 100.0)
    table.asked(1, "gray", 40.0)
    table.asked(2, "gray", 2.0)
    clock.now += KEEP_DEMAND_S - 1
    table.asked(2, "gray", 3.0)
    assert table.report()[:2] == (2, 43.0)
    clock.now += 1
    assert table.report()[:2] == (1, 3.0)
    clock.now += KEEP_DEMAND_S
    assert table.report() == (0, 0, 0)


def test_a_cost_follows_a_change_within_a_minute(table: DemandTable, clock: Clock) -> None:
    for _ in range(600):
        table.drawn("gray", 1.0)
        table.delivered("gray", 1000)
        clock.now += 1
    for _ in range(60):  # a second trainer takes every row from the cache
        table.drawn("gray", 1.0)
        table.delivered("gray", 2000)
        clock.now += 1
    assert table.thread_s_per_row("gray") == pytest.approx(0.0005, rel=0.1)


def test_a_client_that_says_nothing_counts_for_nothing(table: DemandTable) -> None:
    table.asked(0, "gray", 100.0)
    table.asked(7, "gray", 0.0)
    assert table.report() == (0, 0, 0)
    assert table.thread_s_per_row("unheard of") == 0.0


def test_invented_streams_and_demands_stay_within_bounds(table: DemandTable) -> None:
    table.drawn("gray", 1.0)
    table.delivered("gray", 1)
    for stream in range(1, 3 * MAX_STREAMS):
        table.asked(stream, "gray", 1.7e308)
    report = table.report()
    assert report.streams == MAX_STREAMS
    assert report.rows_per_s == MAX_STREAMS * MAX_DEMAND_ROWS_PER_S
    assert math.isfinite(report.threads)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from("ab"), st.floats(0.001, 1e6), st.floats(0, 20)), max_size=30)
)
def test_any_history_gives_the_sum_over_streams_of_their_last_half_minute(
    asked: list[tuple[int, str, float, float]],
) -> None:
    clock = Clock()
    table = DemandTable(clock)
    costs = {"a": 0.5, "b": 2.0}
    last: dict[int, tuple[str, float, float]] = {}
    for stream, pipeline, rows_per_s, passed_s in asked:
        clock.now += passed_s
        table.asked(stream, pipeline, rows_per_s)
        last[stream] = pipeline, rows_per_s, clock.now
    for pipeline, cost in costs.items():
        table.drawn(pipeline, 100 * cost)
        table.delivered(pipeline, 100)
    live = [(pipeline, rows) for pipeline, rows, at in last.values() if clock.now - at < KEEP_DEMAND_S]
    report = table.report()
    assert report.streams == len(live)
    assert report.threads == pytest.approx(math.fsum(rows * costs[pipeline] for pipeline, rows in live))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6)), min_size=1, max_size=20))
def test_a_sum_fades_by_half_each_half_life(added: list[tuple[float, float]]) -> None:
    now, total = 0.0, DecayingSum(0.0)
    amounts = []
    for passed_s, amount in added:
        now += passed_s
        total.add(amount, now)
        amounts.append((now, amount))
    later = now + 7.0
    expected = math.fsum(amount * 2 ** -((later - at) / HALF_LIFE_S) for at, amount in amounts)
    assert total.value(later) == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from(("put", "touch")), st.integers(0, 9), st.floats(0, 4)), max_size=40))
def test_a_table_keeps_what_was_touched_last(steps: list[tuple[str, int, float]]) -> None:
    clock = Clock()
    table: Recent[int, str] = Recent(keep_s=10.0, most=4, clock=clock)
    order: dict[int, float] = {}
    for what, key, passed_s in steps:
        clock.now += passed_s
        if what == "put":
            table.put(key, str(key))
        else:
            assert table.touch(key, lambda key=key: str(key)) == str(key)  # type: ignore[misc]
        order.pop(key, None)
        order[key] = clock.now
    kept = [(key, str(key)) for key, at in order.items() if clock.now - at < 10.0][-4:]
    assert table.items() == kept
