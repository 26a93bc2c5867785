"""The boundaries of a stream: everything is covered once, and cells lie on one grid wherever a stream starts."""

from itertools import pairwise, takewhile
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inkstream.chunking import COMPRESSED_CHUNK_BYTES, MAX_RANGE_STEPS, RANGE_BYTES
from inkstream.plan import Cell, Cursor, Plan


@st.composite
def plans(draw: Any, max_batch_size: int = 500) -> Plan:
    batch_size = draw(st.integers(1, max_batch_size))
    count = draw(st.integers(1, 7))
    remainder = draw(st.sampled_from(["short", "pad", "drop"]))
    samples = draw(st.integers(1, 20 * batch_size))
    if remainder == "drop":
        samples = max(1, samples // batch_size) * batch_size
    side = draw(st.sampled_from([8, 28, 128, 299, 1280]))
    image_row_bytes = side * side * draw(st.sampled_from([1, 3]))
    return Plan(
        batch_size=batch_size,
        samples=samples,
        steps_per_epoch=-(-samples // batch_size),
        short=remainder == "short",
        shard=(draw(st.integers(0, count - 1)), count),
        image_row_bytes=image_row_bytes,
        row_bytes=image_row_bytes + 13,
        compressed=draw(st.booleans()),
    )


def steps_of(plan: Plan, cells: list[Cell]) -> list[tuple[int, int]]:
    """The steps in the order in which cells bring their first rows."""
    return [
        (cell.epoch, step)
        for cell in cells
        if cell.chunks is None or cell.chunks.start == 0
        for step in range(*cell.steps)
    ]


@given(plans())
def test_cells_bring_every_row_of_the_shard_once_in_order(plan: Plan) -> None:
    cells = list(plan.cells(Cursor(0, 0), 1))
    pieces = [piece for cell in cells for piece in plan.pieces(cell)]
    for step in range(plan.steps_per_epoch):
        spans = [piece.rows for piece in pieces if piece.step == step]
        rows = plan.shard_rows(step)
        assert [spans[0].start, spans[-1].stop] == list(rows) if spans else rows.size == 0
        assert all(one.stop == other.start and one.size for one, other in pairwise(spans))
    assert pieces == sorted(pieces)
    assert steps_of(plan, cells) == [(0, step) for step in range(plan.steps_per_epoch)]


@given(plans(max_batch_size=200))
def test_shards_together_are_the_global_batch(plan: Plan) -> None:
    for step in {0, plan.steps_per_epoch - 1}:
        shards = [
            Plan(**(vars(plan) | {"shard": (index, plan.shard[1])})).shard_rows(step) for index in range(plan.shard[1])
        ]
        assert [shards[0].start, shards[-1].stop] == [0, plan.batch_rows(step)]
        assert all(one.stop == other.start for one, other in pairwise(shards))
    rows = sum(plan.batch_rows(step) for step in range(plan.steps_per_epoch))
    assert rows == (plan.samples if plan.short else plan.steps_per_epoch * plan.batch_size)


@given(plans(), st.data())
def test_a_stream_that_starts_anywhere_asks_for_the_cells_of_the_others(plan: Plan, data: Any) -> None:
    start = Cursor(data.draw(st.integers(0, 2)), data.draw(st.integers(0, plan.steps_per_epoch - 1)))
    first, *rest = plan.cells(start, 4)
    everything = list(plan.cells(Cursor(0, 0), 4))
    assert rest == everything[len(everything) - len(rest) :]
    assert (first.epoch, first.steps.start) == start
    assert any(cell.epoch == first.epoch and cell.steps.stop == first.steps.stop for cell in everything)


@given(plans())
def test_cells_are_bounded(plan: Plan) -> None:
    least_budget_bytes = plan.least_budget_bytes
    for cell in plan.cells(Cursor(0, 0), 1):
        pieces = plan.pieces(cell)
        assert cell.steps.size <= MAX_RANGE_STEPS
        image_bytes = sum(piece.rows.size for piece in pieces) * plan.image_row_bytes
        assert image_bytes <= RANGE_BYTES or len(pieces) == 1
        assert all(
            piece.rows.size * plan.image_row_bytes <= COMPRESSED_CHUNK_BYTES or piece.rows.size == 1 for piece in pieces
        )
        assert plan.message_bytes(cell) + plan.opened_bytes(cell) <= least_budget_bytes
        assert all(plan.largest_chunk_bytes >= piece.rows.size * plan.row_bytes for piece in pieces)


@given(plans())
def test_positions_follow_each_other(plan: Plan) -> None:
    def two_epochs() -> Any:
        position = Cursor(0, 0)
        while True:
            yield position
            position = plan.after(position)

    positions = list(takewhile(lambda position: position.epoch < 2, two_epochs()))
    assert positions == [(epoch, step) for epoch in range(2) for step in range(plan.steps_per_epoch)]


def test_endless_streams_have_no_last_cell() -> None:
    plan = Plan(4, 8, 2, True, (0, 1), 64, 77, True)
    cells = plan.cells(Cursor(0, 0), None)
    assert [next(cells).epoch for _ in range(1000)] == list(range(1000))
