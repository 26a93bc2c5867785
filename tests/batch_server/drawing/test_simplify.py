"""Raw drawings become what Google published of them."""

import itertools
import math
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_server.drawing.simplify import COORDINATE_LIMIT, INK_LIMIT_PX, simplify


def simplified(drawing):
    xs, ys = (np.array([value for stroke in drawing for value in stroke[axis]], np.float64) for axis in (0, 1))
    ends = np.array(list(itertools.accumulate(len(stroke[0]) for stroke in drawing)), np.int64)
    return [(list(x), list(y)) for x, y in simplify(xs, ys, ends)]


def drawings_by_key_id(folder: Path):
    for path in sorted(folder.rglob("*.ndjson")):
        for line in path.read_bytes().splitlines():
            row = orjson.loads(line)
            yield row["key_id"], row["drawing"]


def test_most_strokes_of_real_drawings_equal_the_published_ones(quickdraw):
    published = dict(drawings_by_key_id(quickdraw / "simplified-ndjson"))
    raw = dict(drawings_by_key_id(quickdraw / "raw-ndjson"))
    both = published.keys() & raw.keys()
    some = sorted(both)[::4]
    equal = strokes = near = points = 0
    for key_id in some:
        ours = simplified(raw[key_id])
        assert len(ours) == len(published[key_id])
        for (x, y), (published_x, published_y) in zip(ours, published[key_id], strict=True):
            strokes += 1
            equal += (x, y) == (published_x, published_y)
            if len(x) == len(published_x):
                points += len(x)
                pairs = zip(x + y, published_x + published_y, strict=True)
                near += len(x) - sum(abs(value - other) > 1 for value, other in pairs)
    assert len(both) == 7_088
    # Measured: 97.9 % of the strokes, 99.9 % of the points.
    assert equal / strokes >= 0.957, f"{equal} of {strokes} strokes equal"
    assert near / points >= 0.99, f"{near} of {points} points within 1"


def test_the_larger_side_becomes_255_and_the_drawing_moves_to_the_corner():
    assert simplified([[[-10, 92], [1000, 1000]], [[-10, -10], [1000, 1051]]]) == [
        ([0, 255], [0, 0]),
        ([0, 0], [0, 128]),
    ]


def test_a_point_becomes_two_equal_ones():
    assert simplified([[[3.5], [7.5]]]) == [([0, 0], [0, 0])]
    assert simplified([[[0, 100], [0, 0]], [[50], [20]]])[1] == ([128, 128], [51, 51])  # 127.5 is rounded up


def test_a_drawing_without_extent_is_not_blown_up():
    assert simplified([[[9, 9, 9], [4, 4, 4]]]) == [([0, 0], [0, 0])]


def test_what_deviates_less_than_two_pixels_is_dropped():
    assert simplified([[[0, 100, 255], [0, 1.9, 0]]]) == [([0, 255], [0, 0])]
    # What is kept is a point of the resampled stroke, not the corner itself.
    assert simplified([[[0, 100, 255], [0, 9, 0]]]) == [([0, 101, 255], [0, 9, 0])]


coordinates = st.floats(-COORDINATE_LIMIT, COORDINATE_LIMIT) | st.integers(-1000, 3000)
strokes = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=40)


@settings(deadline=None)
@given(st.lists(strokes, min_size=1, max_size=5))
def test_the_result_lies_on_the_raw_strokes_and_keeps_their_ends(drawing):
    columns = [tuple(zip(*stroke, strict=True)) for stroke in drawing]
    low = [min(min(stroke[axis]) for stroke in columns) for axis in (0, 1)]
    extent = max(max(max(stroke[axis]) for stroke in columns) - low[axis] for axis in (0, 1))
    for raw, (x, y) in zip(columns, simplified(columns), strict=True):
        assert len(x) == len(y) >= 2
        scaled = (np.array(raw, np.float64) - np.array(low)[:, None]) * (255 / extent if extent > 0 else 1)
        kept = np.array((x, y), np.float64)
        rounding = 0.5 + 1e-6
        assert np.abs(scaled[:, [0, -1]] - kept[:, [0, -1]]).max() <= rounding
        assert max(distance_to_line(point, scaled) for point in kept.T) <= np.sqrt(2) * rounding


def simplified_by_definition(stroke):
    """One stroke, as the steps are defined: without bounds, integers or groups of points."""
    low = [min(values) for values in stroke]
    extent = max(max(values) - least for values, least in zip(stroke, low, strict=True))
    points = [
        tuple((value - least) * 255.0 / extent if extent else 0.0 for value, least in zip(point, low, strict=True))
        for point in zip(*stroke, strict=True)
    ]
    resampled, to_next = points[:1], 1.0
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        step = math.sqrt((next_x - x) * (next_x - x) + (next_y - y) * (next_y - y))
        while to_next <= step:
            share = to_next / step
            resampled.append((x + (next_x - x) * share, y + (next_y - y) * share))
            to_next += 1.0
        to_next -= step
    kept = thinned([*resampled, points[-1]])
    return tuple([math.floor(point[axis] + 0.5) for point in kept] for axis in (0, 1))


def thinned(points):
    (x, y), (last_x, last_y) = points[0], points[-1]
    along_x, along_y = last_x - x, last_y - y
    chord = math.sqrt(along_x * along_x + along_y * along_y)

    def distance(point):
        off_x, off_y = point[0] - x, point[1] - y
        if chord == 0:
            return math.sqrt(off_x * off_x + off_y * off_y)
        return abs(along_x * off_y - along_y * off_x) / chord

    farthest = max(range(len(points) - 1), key=lambda index: distance(points[index]))  # the first of several
    if distance(points[farthest]) <= 2.0:
        return [points[0], points[-1]]
    return thinned(points[: farthest + 1])[:-1] + thinned(points[farthest:])


corners = st.tuples(st.sampled_from((0, 85, 100, 255)), st.sampled_from((0, 50, 255)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)) | corners, min_size=2, max_size=12))
@example([(0, 0), (255, 0), (255, 100), (0, 100)])  # many points are farthest, but for rounding
@example([(0, 0), (255, 0), (255, 255), (0, 255), (0, 0)])
def test_points_are_kept_as_the_algorithm_says_to_the_last_one(points):
    stroke = [list(axis) for axis in zip(*points, strict=True)]
    assert simplified([stroke]) == [simplified_by_definition(stroke)]


def distance_to_line(point, line):
    starts, ends = line[:, : max(line.shape[1] - 1, 1)], line[:, min(line.shape[1] - 1, 1) :]
    along = ends - starts
    squared = (along**2).sum(axis=0)
    share = np.clip(((point[:, None] - starts) * along).sum(axis=0) / np.where(squared > 0, squared, 1), 0, 1)
    return np.sqrt(((starts + share * along - point[:, None]) ** 2).sum(axis=0)).min()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300, 1.1 * COORDINATE_LIMIT])
def test_absurd_coordinates_are_refused(value):
    with pytest.raises(ValueError, match="a raw coordinate is a number within 1,000,000 of 0"):
        simplified([[[0, value], [0, 0]]])


def test_a_drawing_that_would_take_forever_is_refused():
    turns = int(INK_LIMIT_PX / 255) + 2
    with pytest.raises(ValueError, match="at most 131,072 px of ink"):
        simplified([[[0, 255] * (turns // 2), [0] * (turns // 2 * 2)]])
    zigzag = np.arange(40_000)
    with pytest.raises(ValueError, match="this one is a tangle"):
        simplified([[[*(zigzag % 2 * 3.0), 255], [*(zigzag * 0.001), 0]]])
