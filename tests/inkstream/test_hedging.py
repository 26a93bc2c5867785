"""When ranges are late, which decisions follow, and how much a trainer could take."""

from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkstream.demand import Demand
from inkstream.hedging import HEDGE_SHARE, CopyState, Lateness, hedge_allowed, judge

seconds = st.floats(0, 100)


@given(st.lists(st.floats(0, 50), max_size=200))
def test_late_is_three_times_the_median_and_a_second_at_least(durations_s: list[float]) -> None:
    lateness = Lateness()
    for duration_s in durations_s:
        lateness.took(duration_s)
    recent = durations_s[-64:]
    assert lateness.late_after_s == (max(1.0, 3 * median(recent)) if recent else 1.0)


@given(st.lists(st.booleans(), max_size=300))
def test_hedges_stay_within_their_share_at_every_moment(is_late: list[bool]) -> None:
    hedges = 0
    for ranges, late in enumerate(is_late, 1):
        if late and hedge_allowed(hedges, ranges):
            hedges += 1
        assert hedges <= HEDGE_SHARE * ranges
    if all(is_late):
        assert hedges == int(HEDGE_SHARE * len(is_late))


copies = st.builds(CopyState, st.sampled_from("abc"), seconds, st.booleans(), st.booleans(), seconds)


@settings(max_examples=50)
@given(st.lists(copies, max_size=12), st.floats(1, 60))
def test_decisions(states: list[CopyState[str]], late_after_s: float) -> None:
    unanswered = {state.server: state.unanswered_s for state in states}
    states = [CopyState(c.server, c.age_s, c.was_late, c.hedged, unanswered[c.server]) for c in states]
    verdict = judge(states, late_after_s)
    late = {index for index, state in enumerate(states) if state.age_s >= late_after_s}
    assert set(verdict.late) == late
    # One hedge at most, for late ranges, and none where the server does not answer: there everything is moved.
    assert set(verdict.hedge) <= late and not any(states[index].hedged for index in verdict.hedge)
    assert not set(verdict.hedge) & set(verdict.move)
    assert {states[index].server for index in verdict.move} <= {states[index].server for index in late}
    for index in verdict.move:
        moved = states[index].server
        assert unanswered[moved] >= late_after_s * 0.75 and moved in verdict.doubt
        assert all(other in verdict.move for other, state in enumerate(states) if state.server == moved)
    # A server is in doubt once for each range that becomes late, and asked whether it lives before that.
    assert {states[index].server for index in late if not states[index].was_late} <= verdict.doubt
    assert verdict.doubt <= {states[index].server for index in late} <= verdict.probe


def test_a_frozen_server_costs_no_more_than_the_time_after_which_a_range_is_late() -> None:
    """Probed at a quarter of it, it has not answered for the rest."""
    asked = CopyState("frozen", 0.25, was_late=False, hedged=False, unanswered_s=0.0)
    assert judge([asked], 1.0).probe == {"frozen"}
    late = CopyState("frozen", 1.0, was_late=False, hedged=False, unanswered_s=0.75)
    younger = CopyState("frozen", 0.2, was_late=False, hedged=False, unanswered_s=0.75)
    assert judge([late, younger], 1.0).move == [0, 1]


def demand_rows_per_s(*deliveries: tuple[float, int, float]) -> float | None:
    """After batches at so many seconds, of so many rows, after so many seconds of waiting."""
    demand = Demand()
    for delivery in deliveries:
        demand.delivered(*delivery)
    return demand.rows_per_s()


def test_demand_leaves_the_waiting_out() -> None:
    """256 rows a step of 0.1 s, however long the trainer waited for each."""
    for wait_s in (0.0, 0.4, 3.0):
        deliveries = [(step * (0.1 + wait_s), 256, wait_s) for step in range(20)]
        assert demand_rows_per_s(*deliveries) == pytest.approx(2560)


def test_demand_follows_a_change() -> None:
    """Of the latest batches only."""
    slow = [(float(step), 256, 0.0) for step in range(100)]
    fast = [(100.0 + step / 4, 256, 0.0) for step in range(100)]
    assert demand_rows_per_s(*slow, *fast) == pytest.approx(1024)


def test_demand_that_is_not_known() -> None:
    assert demand_rows_per_s() is None
    assert demand_rows_per_s((5.0, 256, 1.0)) is None
    assert demand_rows_per_s((5.0, 256, 1.0), (6.0, 256, 1.0)) is None  # it only waits


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0.01, 5), st.floats(0, 5)), min_size=2, max_size=60))
def test_demand_is_rows_by_time_worked(steps: list[tuple[int, float, float]]) -> None:
    now, deliveries = 0.0, []
    for rows, work_s, wait_s in steps:  # waits for the batch, gets it, works on it
        now += wait_s
        deliveries.append((now, rows, wait_s))
        now += work_s
    worked_s = sum(work_s for _, work_s, _ in steps[:-1])
    demand = demand_rows_per_s(*deliveries)
    assert demand == pytest.approx(sum(rows for rows, _, _ in steps[:-1]) / worked_s, rel=1e-6)
