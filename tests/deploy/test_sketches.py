"""The generated sketches: the same every time, in the official layouts, and drawings all of them."""

import csv
import json
import random
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sketches import SUBJECTS, Sketch, sketch, write_labelled, write_unlabelled
from deploy.sketches.pen import Pen


@given(st.sampled_from(list(SUBJECTS)), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_sketch_is_a_simplified_drawing(word: str, number: int, seed: int) -> None:
    drawn = sketch(word, number, seed)
    assert drawn.strokes
    for xs, ys in drawn.strokes:
        assert len(xs) == len(ys) >= 2
    across = [x for xs, _ in drawn.strokes for x in xs]
    down = [y for _, ys in drawn.strokes for y in ys]
    assert min(across) == min(down) == 0
    assert max(across) <= 255 and max(down) <= 255
    assert 255 in (max(across), max(down)) or max(across) == max(down) == 0
    assert 10**15 <= drawn.key_id < 10**16, "16 digits, as official ones"


def test_a_sketch_follows_from_its_arguments_alone() -> None:
    once = [sketch(word, 3, seed=7) for word in SUBJECTS]
    random.seed(1)
    assert [sketch(word, 3, seed=7) for word in reversed(SUBJECTS)] == once[::-1]
    assert sketch("cat", 3, seed=8).strokes != sketch("cat", 3, seed=7).strokes


def test_this_cup_stays_this_cup() -> None:
    """Figures in the documentation, and pictures, are of these drawings."""
    assert sketch("cup", 0, seed=1) == CUP


def test_no_two_sketches_are_the_same() -> None:
    drawn = [sketch(word, number, seed=1) for word in SUBJECTS for number in range(100)]
    assert len({one.key_id for one in drawn}) == len(drawn)
    assert len({str(one.strokes) for one in drawn}) > 0.99 * len(drawn)
    assert 0.85 < sum(one.recognized for one in drawn) / len(drawn) < 0.99


@pytest.mark.parametrize("word", SUBJECTS)
def test_a_neat_hand_stays_in_the_box(word: str) -> None:
    for number in range(50):
        pen = Pen(random.Random(number), shake=0)
        SUBJECTS[word](pen)
        points = [point for stroke in pen.strokes for point in stroke]
        assert all(abs(x) < 1.6 and abs(y) < 1.7 for x, y in points)


def test_labelled_files_have_the_official_layout(tmp_path: Path) -> None:
    write_labelled(tmp_path, per_class=3, seed=1)
    assert {path.name for path in tmp_path.iterdir()} == {f"{word}.ndjson" for word in SUBJECTS}
    for word in SUBJECTS:
        rows = [json.loads(line) for line in (tmp_path / f"{word}.ndjson").read_text().splitlines()]
        for number, row in enumerate(rows):
            drawn = sketch(word, number, seed=1)
            assert list(row) == ["word", "countrycode", "timestamp", "recognized", "key_id", "drawing"]
            assert (row["word"], row["key_id"]) == (word, str(drawn.key_id))
            assert row["drawing"] == [[list(xs), list(ys)] for xs, ys in drawn.strokes]
            datetime.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S.%f %Z")
        assert len(rows) == 3


def test_unlabelled_file_has_the_competitions_layout(tmp_path: Path) -> None:
    path = tmp_path / "new/test.csv"
    write_unlabelled(path, range(5, 8), seed=1)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["key_id", "countrycode", "drawing"]
    expected = {str(one.key_id): one for word in SUBJECTS for one in (sketch(word, n, seed=1) for n in range(5, 8))}
    assert {row["key_id"] for row in rows} == set(expected)
    for row in rows:
        assert json.loads(row["drawing"]) == [[list(xs), list(ys)] for xs, ys in expected[row["key_id"]].strokes]
    classes = [int(row["key_id"]) % len(SUBJECTS) for row in rows]
    assert classes != sorted(classes), "the order must not give the class away"


CUP = Sketch(
    word="cup",
    key_id=1000000000000002,
    country="US",
    recognized=True,
    strokes=[
        (
            [36, 60, 88, 109, 127, 126, 117, 100, 76, 46, 22, 10, 0, 7, 20, 43],
            [43, 37, 33, 28, 32, 33, 43, 50, 57, 57, 59, 56, 59, 49, 42, 35],
        ),
        ([8, 33, 34, 88, 160, 158, 128], [58, 157, 255, 236, 197, 128, 0]),
        ([138, 153, 171, 178, 174, 169, 149], [92, 99, 105, 125, 139, 155, 160]),
    ],
)
