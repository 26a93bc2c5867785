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
    x, y = xs.copy(), ys.copy()
    if not _scale(x, y):
        raise ValueError(f"a raw coordinate is a number within {COORDINATE_LIMIT:,.0f} of 0")
    ink_px = _ink(x, y, ends)
    if not ink_px <= INK_LIMIT_PX:
        raise ValueError(f"a raw drawing has at most {INK_LIMIT_PX:,.0f} px of ink at 255 px, got {ink_px:,.0f}")
    points = np.empty(2 * (int(ink_px / SPACING_PX) + 3 * len(ends)), np.uint8)
    counts = np.empty(len(ends), np.int32)
    if _simplify_strokes(x, y, ends, ink_px, points, counts) < 0:
        raise ValueError(f"a raw stroke is simplified in at most {DISTANCES_LIMIT:,} steps: this one is a tangle")
    strokes = []
    start = 0
    for count in counts.tolist():
        middle, end = start + count, start + 2 * count
        strokes.append((points[start:middle].tobytes(), points[middle:end].tobytes()))
        start = end
    return strokes


@njit(cache=True, nogil=True)
def simplify_into(x, y, ends, points, counts):  # type: ignore[no-untyped-def]
    """Simplifies one raw drawing as `simplify` does, within other compiled code.

    Args:
        x: float64 `[points]`, as for `simplify`; overwritten.
        y: float64 `[points]`, as for `simplify`; overwritten.
        ends: int64 `[strokes]`, as for `simplify`.
        points: uint8 `[room]`, gets of each stroke its x and then its y.
        counts: int32 `[strokes]` at least, gets each stroke's number of points.

    Returns:
        Whether it was done: False if `simplify` would raise, or if there is not enough room.
    """
    if not _scale(x, y):
        return False
    ink_px = _ink(x, y, ends)
    return ink_px <= INK_LIMIT_PX and _simplify_strokes(x, y, ends, ink_px, points, counts) >= 0


@njit(cache=True, nogil=True)
def _scale(x, y):  # type: ignore[no-untyped-def]
    """Aligns a drawing to the top left corner and scales it in place; False if a coordinate is beyond the limit."""
    low_x, low_y = x[0], y[0]
    for i in range(len(x)):
        if not (abs(x[i]) <= COORDINATE_LIMIT and abs(y[i]) <= COORDINATE_LIMIT):
            return False
        low_x, low_y = min(low_x, x[i]), min(low_y, y[i])
    extent = 0.0
    for i in range(len(x)):
        x[i] -= low_x
        y[i] -= low_y
        extent = max(extent, x[i], y[i])
    if extent > 0:
        for i in range(len(x)):
            x[i] = x[i] * SIDE / extent
            y[i] = y[i] * SIDE / extent
    return True


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
def _simplify_strokes(x, y, ends, ink_px, points, counts):  # type: ignore[no-untyped-def]
    """Resamples scaled strokes, drops points and rounds, into `points` and `counts`.

    Returns:
        How many bytes of `points` are used; -1 if they are not enough, or a stroke takes more than DISTANCES_LIMIT.
    """
    capacity = int(ink_px / SPACING_PX) + 4  # a stroke is not longer than all of them
    resampled_x = np.empty(capacity)
    resampled_y = np.empty(capacity)
    kept = np.empty(capacity, np.bool_)
    pieces = np.empty((capacity, 2), np.int64)
    used = start = 0
    for stroke in range(len(ends)):
        end = ends[stroke]
        if end - start == 1:  # a dot becomes two equal points
            resampled_x[:2], resampled_y[:2], kept[:2] = x[start], y[start], True
            resampled, count = 2, 2
        else:
            resampled = _resample(x[start:end], y[start:end], resampled_x, resampled_y)
            count = _ramer_douglas_peucker(resampled_x, resampled_y, resampled, kept, pieces)
        if count == 0 or used + 2 * count > len(points):
            return -1
        at = used
        for i in range(resampled):
            if kept[i]:
                points[at] = _round(resampled_x[i])
                points[at + count] = _round(resampled_y[i])
                at += 1
        counts[stroke] = count
        used += 2 * count
        start = end
    return used


@njit(cache=True, nogil=True)
def _resample(x, y, out_x, out_y):  # type: ignore[no-untyped-def]
    """Puts points along a stroke at every SPACING_PX of its length, both its ends included; returns how many."""
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
    return count + 1


@njit(cache=True, nogil=True)
def _ramer_douglas_peucker(x, y, count, kept, pieces):  # type: ignore[no-untyped-def]
    """Which of the first points to keep: both ends, and between two kept ones the farthest if beyond EPSILON_PX.

    Returns:
        How many are kept; 0 if that takes more than DISTANCES_LIMIT distances.
    """
    kept[:count] = False
    kept[0] = kept[count - 1] = True
    keeps = 2
    # Each pass takes one piece off and puts at most two smaller ones on, so as many entries as points are enough.
    pieces[0, 0], pieces[0, 1] = 0, count - 1
    pending = 1
    distances = 0
    while pending:
        pending -= 1
        first, last = pieces[pending]
        distances += last - first
        if distances > DISTANCES_LIMIT:
            return 0
        farthest, distance = first, 0.0
        chord_x, chord_y = x[last] - x[first], y[last] - y[first]
        chord = _distance(chord_x, chord_y)
        if chord > 0:
            # A quotient grows with its dividend, so that only a larger one than ever before need be divided.
            largest = 0.0
            for i in range(first + 1, last):
                area = abs(chord_x * (y[i] - y[first]) - chord_y * (x[i] - x[first]))
                if area > largest:
                    largest = area
                    if area / chord > distance:
                        farthest, distance = i, area / chord
        else:
            for i in range(first + 1, last):
                off = _distance(x[i] - x[first], y[i] - y[first])
                if off > distance:
                    farthest, distance = i, off
        if distance > EPSILON_PX:
            kept[farthest] = True
            keeps += 1
            pieces[pending, 0], pieces[pending, 1] = first, farthest
            pieces[pending + 1, 0], pieces[pending + 1, 1] = farthest, last
            pending += 2
    return keeps


@njit(cache=True, nogil=True, inline="always")
def _distance(dx, dy):  # type: ignore[no-untyped-def]
    # A root of squares, not hypot: the C library's differ between processors.
    return np.sqrt(dx * dx + dy * dy)


@njit(cache=True, nogil=True, inline="always")
def _round(value):  # type: ignore[no-untyped-def]
    return np.uint8(min(max(np.floor(value + 0.5), 0.0), SIDE))
