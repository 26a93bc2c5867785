"""Duplicates are found whatever the order, the number of files and the size of pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.importing import duplicates
from batch_server.importing.duplicates import Marks, find_duplicates


def marked(key_ids, folder, piece=7):
    key_ids = np.array(key_ids, np.uint64)
    pieces = [key_ids[start : start + piece] for start in range(0, len(key_ids), piece)]
    marks = find_duplicates(iter(pieces), len(key_ids), folder)
    found = marks.take(0, len(key_ids)).tolist()
    assert marks.count == sum(found)
    assert list(folder.iterdir()) == []
    return found


def expected(key_ids):
    seen = set()
    return [key_id in seen or bool(seen.add(key_id)) for key_id in key_ids]


@pytest.mark.parametrize("bucket_rows", [1, 3, 1000])
@settings(deadline=None, max_examples=60)
@given(key_ids=st.lists(st.integers(1, 40) | st.integers(2**64 - 3, 2**64 - 1), max_size=300), piece=st.integers(1, 50))
def test_every_row_but_the_first_of_a_key_id_is_marked(tmp_path_factory, bucket_rows, key_ids, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BUCKET_ROWS", bucket_rows)
        assert marked(key_ids, tmp_path_factory.mktemp("buckets"), piece) == expected(key_ids)


def test_a_million_rows_with_one_key_id_are_searched_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "BUCKET_ROWS", 1000)
    assert marked([5] * 1_000_000 + [6], tmp_path, 4096) == [False] + [True] * 999_999 + [False]


def test_realistic_key_ids_spread_over_the_buckets(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "BUCKET_ROWS", 1000)
    monkeypatch.setattr(duplicates, "_search", lambda path, marks: sizes.append(path.stat().st_size // 16))
    for key_ids in (np.arange(1, 16_001), np.arange(1, 16_001) << 20, np.arange(1, 16_001) * 281_474_976_710_656):
        sizes: list[int] = []
        find_duplicates(iter([key_ids.astype(np.uint64)]), len(key_ids), tmp_path)
        assert len(sizes) == 32
        assert max(sizes) < 3 * 16_000 / 32


@given(st.sets(st.integers(0, 99)), st.integers(0, 99), st.integers(0, 99))
def test_marks_are_taken_from_any_place(positions, start, stop):
    marks = Marks(100)
    marks.set(np.array(sorted(positions), np.uint64))
    assert marks.take(start, stop).tolist() == [position in positions for position in range(start, stop)]
