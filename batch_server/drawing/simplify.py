"""Simplifies raw drawings as Google simplified the Quick, Draw! dataset.

The dataset's README names the steps: align the drawing to the top left corner, scale it so that its larger side is 255,
resample every stroke with a point at each pixel of its length, then drop points by the Ramer-Douglas-Peucker algorithm
with epsilon 2.0. What it leaves open follows from drawings that are published in both forms: a point's distance is that
to the line through both ends, not to the piece between them (so that a stroke to and fro loses its far end): 97.9 % of
the strokes then equal the published ones to the last point, else 73 %. Coordinates are rounded to the nearest integer
at the very end, and a stroke of one point becomes two equal points. 99.7 % of the strokes have as many points as the
published ones, 99.9 % of which differ by at most 1.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

SIDE = 255.0
SPACING_PX = 1.0
EPSILON_PX = 2.0
COORDINATE_LIMIT = 1e6
# Bound the memory and the time that one drawing can ask for: Ramer-Douglas-Peucker takes quadratic time on
# the worst strokes, which a hostile file may hold. The longest of 8,513 real drawings has 31,870 px of ink, the median
# 945; their worst stroke takes 277,965 distances.
INK_LIMIT_PX = float(1 << 17)
DISTANCES_LIMIT = 1 << 27

Array = npt.NDArray[np.float64]


def simplify(xs: Array, ys: Array, ends: npt.NDArray[np.int64]) -> list[tuple[bytes, bytes]]:
    """Simplifies one raw drawing.

    Args:
        xs: float64 `[points]`, the strokes' x one after another, within +-COORDINATE_LIMIT, y growing downwards.
        ys: float64 `[points]`, their y.
        ends: int64 `[strokes]`, where each stroke ends among the points; every stroke has at least one point.

    Returns:
        For each stroke its x and its y, a byte each, in 0..255; at least two points.

    Raises:
        ValueError: A coordinate is not finite or beyond the limit, the drawing has more ink than INK_LIMIT_PX, or a
            stroke takes more than DISTANCES_LIMIT distances.
    """
    for values in (xs, ys):
        if not np.all(np.abs(values) <= COORDINATE_LIMIT):
            raise ValueError(f"a raw coordinate is a number within {COORDINATE_LIMIT:,.0f} of 0")
    x, y = _align(xs), _align(ys)
    extent = max(x.max(), y.max())
    if extent > 0:
        x, y = x * SIDE / extent, y * SIDE / extent
    ink_px = _ink(x, y, ends)
    if not ink_px <= INK_LIMIT_PX:
        raise ValueError(f"a raw drawing has at most {INK_LIMIT_PX:,.0f} px of ink at 255 px, got {ink_px:,.0f}")
    strokes = []
    start = 0
    for end in ends.tolist():
        points = _simplify_stroke(x[start:end], y[start:end])
        if not points.size:
            raise ValueError(f"a raw stroke is simplified in at most {DISTANCES_LIMIT:,} steps: this one is a tangle")
        strokes.append((points[0].tobytes(), points[1].tobytes()))
        start = end
    return strokes


def _align(values: Array) -> Array:
    return values - values.min()


@njit(cache=True, nogil=True)
def _ink(x, y, ends):  # type: ignore[no-untyped-def]
    """The summed length of all strokes."""
    total = 0.0
    start = 0
    for end in ends:
        for i in range(start + 1, end):
            total += _distance(x[i] - x[i - 1], y[i] - y[i - 1])
        start = end
    return total


@njit(cache=True, nogil=True)
def _simplify_stroke(x, y):  # type: ignore[no-untyped-def]
    """Resamples one scaled stroke, drops points and rounds: uint8 `[2, points]`, at least two points or none at all."""
    if len(x) == 1:
        dot = np.empty((2, 2), np.uint8)
        dot[0, :] = _round(x[0])
        dot[1, :] = _round(y[0])
        return dot
    resampled_x, resampled_y = _resample(x, y)
    kept = _ramer_douglas_peucker(resampled_x, resampled_y)
    points = np.empty((2, kept.sum()), np.uint8)
    at = 0
    for i in range(len(kept)):
        if kept[i]:
            points[0, at] = _round(resampled_x[i])
            points[1, at] = _round(resampled_y[i])
            at += 1
    return points


@njit(cache=True, nogil=True)
def _resample(x, y):  # type: ignore[no-untyped-def]
    """Points along a stroke at every SPACING_PX of its length, its first and its last point included."""
    length = 0.0
    for i in range(1, len(x)):
        length += _distance(x[i] - x[i - 1], y[i] - y[i - 1])
    capacity = int(length / SPACING_PX) + 3
    out_x = np.empty(capacity)
    out_y = np.empty(capacity)
    out_x[0], out_y[0] = x[0], y[0]
    count = 1
    to_next = SPACING_PX
    for i in range(1, len(x)):
        step = _distance(x[i] - x[i - 1], y[i] - y[i - 1])
        while to_next <= step:
            share = to_next / step
            out_x[count] = x[i - 1] + (x[i] - x[i - 1]) * share
            out_y[count] = y[i - 1] + (y[i] - y[i - 1]) * share
            count += 1
            to_next += SPACING_PX
        to_next -= step
    last = len(x) - 1
    out_x[count], out_y[count] = x[last], y[last]
    return out_x[: count + 1], out_y[: count + 1]


@njit(cache=True, nogil=True)
def _ramer_douglas_peucker(x, y):  # type: ignore[no-untyped-def]
    """Which points to keep: both ends, and between two kept ones the farthest if it is beyond EPSILON_PX.

    None at all if that takes more than DISTANCES_LIMIT distances.
    """
    kept = np.zeros(len(x), np.bool_)
    kept[0] = True
    kept[len(x) - 1] = True
    # Each pass takes one piece off and puts at most two smaller ones on, so n entries are enough.
    first_of = np.empty(len(x), np.int64)
    last_of = np.empty(len(x), np.int64)
    first_of[0], last_of[0] = 0, len(x) - 1
    pending = 1
    distances = 0
    while pending:
        pending -= 1
        first, last = first_of[pending], last_of[pending]
        distances += last - first
        if distances > DISTANCES_LIMIT:
            return np.zeros(len(x), np.bool_)
        farthest, distance = first, 0.0
        chord_x, chord_y = x[last] - x[first], y[last] - y[first]
        chord = _distance(chord_x, chord_y)
        for i in range(first + 1, last):
            to_x, to_y = x[i] - x[first], y[i] - y[first]
            off = abs(chord_x * to_y - chord_y * to_x) / chord if chord > 0 else _distance(to_x, to_y)
            if off > distance:
                farthest, distance = i, off
        if distance > EPSILON_PX:
            kept[farthest] = True
            first_of[pending], last_of[pending] = first, farthest
            first_of[pending + 1], last_of[pending + 1] = farthest, last
            pending += 2
    return kept


@njit(cache=True, nogil=True, inline="always")
def _distance(dx, dy):  # type: ignore[no-untyped-def]
    # A root of squares, not hypot: the C library's differ between processors.
    return np.sqrt(dx * dx + dy * dy)


@njit(cache=True, nogil=True, inline="always")
def _round(value):  # type: ignore[no-untyped-def]
    return np.uint8(min(max(np.floor(value + 0.5), 0.0), SIDE))
