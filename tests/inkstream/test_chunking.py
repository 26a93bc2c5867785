"""Boundaries follow from the request alone, and pieces fit without gap or overlap."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from inkstream import chunking
from inkstream.chunking import Span

rows = st.integers(0, 70_000)
row_bytes = st.integers(1, 1280 * 1280 * 3)


@given(rows, st.integers(1, 3_000))
def test_shards_tile_a_batch(batch_rows: int, count: int) -> None:
    spans = [chunking.shard_rows(batch_rows, index, count) for index in range(count)]
    assert spans[0].start == 0 and spans[-1].stop == batch_rows
    assert all(left.stop == right.start for left, right in itertools.pairwise(spans))
    assert max(span.size for span in spans) - min(span.size for span in spans) <= 1


@given(rows, rows, row_bytes, st.booleans())
def test_chunks_tile_the_rows_within_the_limit(start: int, size: int, row_bytes: int, compressed: bool) -> None:
    spans = chunking.chunk_rows(Span(start, start + size), row_bytes, compressed)
    edges = [start, *(span.stop for span in spans)]
    assert [span.start for span in spans] == edges[:-1] and edges[-1] == start + size
    limit = (4 if compressed else 1) << 20
    assert all(span.size >= 1 and (span.size * row_bytes <= limit or span.size == 1) for span in spans)


def test_a_shard_without_rows_has_no_chunk() -> None:
    assert chunking.chunk_rows(Span(5, 5), 100, False) == []


def test_the_contract_states_these_figures() -> None:
    # 128 x 128 gray: 64 rows make 1 MiB, 256 rows 4 MiB; 100 rows are two halves, not 64 and 36.
    assert chunking.chunk_rows(Span(0, 256), 128 * 128, True) == [Span(0, 256)]
    assert chunking.chunk_rows(Span(0, 100), 128 * 128, False) == [Span(0, 50), Span(50, 100)]


@given(st.integers(1, 65_536), st.integers(1, 64), row_bytes)
def test_a_range_is_at_least_a_step_and_within_its_bytes(batch_size: int, shards: int, row_bytes: int) -> None:
    steps = chunking.range_steps(batch_size, shards, row_bytes)
    step_bytes = -(-batch_size // shards) * row_bytes
    assert steps == 1 or (steps <= chunking.MAX_RANGE_STEPS and steps * step_bytes <= chunking.RANGE_BYTES)
