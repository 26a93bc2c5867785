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

# How many numbers a vectorised loop takes at a time: four registers of four.
_LANES = 16
_NEARLY_ONE = 1 - 2**-50
_ZERO, _ONE = np.uint64(0), np.uint64(1)

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
    steps = np.empty(len(x))
    ink_px = _measure(x, y, ends, steps)
    if not ink_px <= INK_LIMIT_PX:
        raise ValueError(f"a raw drawing has at most {INK_LIMIT_PX:,.0f} px of ink at 255 px, got {ink_px:,.0f}")
    points = np.empty(2 * (int(ink_px / SPACING_PX) + 3 * len(ends)), np.uint8)
    counts = np.empty(len(ends), np.int32)
    if _simplify_strokes(x, y, ends, steps, ink_px, points, counts) < 0:
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
    steps = np.empty(len(x))
    ink_px = _measure(x, y, ends, steps)
    return ink_px <= INK_LIMIT_PX and _simplify_strokes(x, y, ends, steps, ink_px, points, counts) >= 0


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
def _measure(x, y, ends, steps):  # type: ignore[no-untyped-def]
    """Puts the distance of each point to the next into `steps`; returns the summed length of all strokes."""
    for i in range(len(x) - 1):
        steps[i] = _distance(x[i + 1] - x[i], y[i + 1] - y[i])
    total = 0.0
    start = 0
    for end in ends:
        for i in range(start, end - 1):
            total += steps[i]
        start = end
    return total


@njit(cache=True, nogil=True)
def _simplify_strokes(x, y, ends, steps, ink_px, points, counts):  # type: ignore[no-untyped-def]
    """Resamples scaled strokes, drops points and rounds, into `points` and `counts`.

    Returns:
        How many bytes of `points` are used; -1 if they are not enough, or a stroke takes more than DISTANCES_LIMIT.
    """
    capacity = int(ink_px / SPACING_PX) + 4 + _LANES  # a stroke is not longer than all of them
    resampled_x = np.empty(capacity)
    resampled_y = np.empty(capacity)
    offsets = np.empty(capacity)
    kept = np.empty(capacity, np.int64)
    pending = np.empty(capacity, np.int64)
    used = start = 0
    for stroke in range(len(ends)):
        end = ends[stroke]
        if end - start == 1:  # a dot becomes two equal points
            resampled_x[:2], resampled_y[:2], resampled = x[start], y[start], 2
        else:
            resampled = _resample(x[start:end], y[start:end], steps[start : end - 1], resampled_x, resampled_y)
        count = _ramer_douglas_peucker(resampled_x, resampled_y, resampled, kept, pending, offsets)
        if count == 0 or used + 2 * count > len(points):
            return -1
        for i in range(count):
            points[used + i] = _round(resampled_x[kept[i]])
            points[used + count + i] = _round(resampled_y[kept[i]])
        counts[stroke] = count
        used += 2 * count
        start = end
    return used


# error_model="numpy": without Python's test for a division by zero, which cannot be here.
@njit(cache=True, nogil=True, error_model="numpy")
def _resample(x, y, steps, out_x, out_y):  # type: ignore[no-untyped-def]
    """Puts points along a stroke at every SPACING_PX of its length, both its ends included; returns how many."""
    out_x[0], out_y[0] = x[0], y[0]
    count = _ONE  # unsigned, which spares a test for a negative index at each access
    to_next = SPACING_PX
    for i in range(len(steps)):
        step, from_x, from_y = steps[i], x[i], y[i]
        along_x, along_y = x[i + 1] - from_x, y[i + 1] - from_y
        while to_next <= step:
            share = to_next / step
            out_x[count] = from_x + along_x * share
            out_y[count] = from_y + along_y * share
            count += _ONE
            to_next += SPACING_PX
        to_next -= step
    out_x[count], out_y[count] = x[len(steps)], y[len(steps)]
    return np.int64(count) + 1


@njit(cache=True, nogil=True)
def _ramer_douglas_peucker(x, y, count, kept, pending, offsets):  # type: ignore[no-untyped-def]
    """Which of the first points to keep: both ends, and between two kept ones the farthest if beyond EPSILON_PX.

    Args:
        x: float64 `[room]`, _LANES longer than there are points, as all that follow.
        y: float64 `[room]`.
        count: How many points there are, at least two.
        kept: int64 `[room]`, gets the indices of the kept ones, ascending.
        pending: int64 `[room]`, for its own use.
        offsets: float64 `[room]`, for its own use.

    Returns:
        How many are kept; 0 if that takes more than DISTANCES_LIMIT distances.
    """
    first, kept[0], keeps = 0, 0, 1
    # Points that are kept behind `first`, the nearest one last: the piece up to it is looked at next.
    pending[0], left = count - 1, 1
    distances = 0
    while left:
        last = pending[left - 1]
        distances += last - first
        if distances > DISTANCES_LIMIT:
            return 0
        farthest, distance = _farthest(x[first:], y[first:], last - first, offsets)
        if distance > EPSILON_PX:
            pending[left] = first + farthest
            left += 1
        else:
            first = kept[keeps] = last
            keeps += 1
            left -= 1
    return keeps


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _farthest(x, y, last, offsets):  # type: ignore[no-untyped-def]
    """The first of the points between 0 and `last` that is farthest from the line through these two, and how far it is.

    If that is no more than EPSILON_PX, the point is of no interest, and is 0.

    A distance is an area, that of the parallelogram with the chord, by the chord's length: one division is enough. The
    loop is written such that LLVM vectorises it, without a remainder. So it is over whole groups of _LANES, and the
    largest is found among integers: numbers that are not negative are in the order of their bits, and the largest float
    is for LLVM one that depends on the order, because of NaN.
    """
    start_x, start_y = x[0], y[0]
    chord_x, chord_y = x[last] - start_x, y[last] - start_y
    chord = _distance(chord_x, chord_y)
    lanes = (last + _LANES - 1) & -_LANES
    largest = np.int64(0)
    if chord > 0:
        for i in range(lanes):
            area = abs(chord_x * (y[i] - start_y) - chord_y * (x[i] - start_x))
            offset = np.float64(area if i < last else 0.0)
            offsets[i] = offset
            largest = max(largest, offset.view(np.int64))
    else:  # a closed piece: distances from its end
        chord = 1.0
        for i in range(lanes):
            offset = np.float64(_distance(x[i] - start_x, y[i] - start_y) if i < last else 0.0)
            offsets[i] = offset
            largest = max(largest, offset.view(np.int64))
    largest_offset = np.int64(largest).view(np.float64)
    distance = largest_offset / chord
    farthest = _ZERO
    if distance > EPSILON_PX:
        # Areas that differ in their last places only may give equal distances, of which the first counts.
        nearly = largest_offset * _NEARLY_ONE
        while offsets[farthest] < nearly or offsets[farthest] / chord < distance:
            farthest += _ONE
    return np.int64(farthest), distance


@njit(cache=True, nogil=True, inline="always")
def _distance(dx, dy):  # type: ignore[no-untyped-def]
    # A root of squares, not hypot: the C library's differ between processors.
    return np.sqrt(dx * dx + dy * dy)


@njit(cache=True, nogil=True, inline="always")
def _round(value):  # type: ignore[no-untyped-def]
    return np.uint8(min(max(np.floor(value + 0.5), 0.0), SIDE))
