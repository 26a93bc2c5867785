"""The compiled reader of raw drawings: three lists of numbers per stroke (x, y, t), simplified on the way."""

import numpy as np
from numba import njit

from batch_server.drawing.simplify import simplify_into
from batch_server.sources.numbers import read_number
from batch_server.sources.tokens import CLOSE_LIST, COMMA, OPEN_LIST, SPACE, expect, skip_blanks

_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def read_raw_drawing(data, start, raw, ends, points, counts):  # type: ignore[no-untyped-def]
    r"""Reads a raw drawing, and puts it simplified into `points` and `counts`.

    Args:
        data: uint8 `[bytes]`, the last one `\n`.
        start: Where the drawing begins.
        raw: float64 `[3, points]`, room for x, y and t of all points of the text.
        ends: int64 `[strokes]`, room for where each stroke ends among them.
        points: uint8, as of `tokens.read_drawing`.
        counts: int32, as of `tokens.read_drawing`.

    Returns:
        The position after it, and the number of strokes. The position is -1 if the drawing is not written as expected,
        or a number's value is not certain, or it cannot be simplified, or its record would be longer than its text.
    """
    strokes = 0
    first = np.int64(0)
    at = expect(data, start, OPEN_LIST)
    while at >= 0:
        at = expect(data, skip_blanks(data, at), OPEN_LIST)
        if at < 0:
            break
        last = first
        for axis in range(3):
            if axis > 0:
                at = expect(data, skip_blanks(data, at), COMMA)
                if at < 0:
                    return -1, strokes
            at, end = _numbers(data, skip_blanks(data, at), raw[axis], first)
            if at < 0 or (axis > 0 and end != last):
                return -1, strokes
            last = end
        ends[strokes] = first = last
        strokes += 1
        at = expect(data, skip_blanks(data, at), CLOSE_LIST)
        if at < 0:
            break
        at = skip_blanks(data, at)
        if data[at] == CLOSE_LIST:
            # What a count takes at most is five bytes.
            room = max(0, at - start - 5 * (strokes + 1))
            done = simplify_into(raw[0, :last], raw[1, :last], ends[:strokes], points[:room], counts)
            return (at + 1 if done else -1), strokes
        at = expect(data, at, COMMA)
    return -1, strokes


@njit(cache=True, nogil=True)
def _numbers(data, start, values, first):  # type: ignore[no-untyped-def]
    """Reads a list of numbers, at least one, into `values` from `first` on; where it ends, the new count."""
    if data[start] != OPEN_LIST:
        return -1, first
    at, count = np.uint64(start), np.uint64(first)
    while True:
        at += _ONE
        if data[at] == SPACE:
            at = np.uint64(skip_blanks(data, np.int64(at)))
        end, values[count] = read_number(data, at)
        if end == at:
            return -1, first
        at = end
        count += _ONE
        if data[at] == COMMA:
            continue
        behind = skip_blanks(data, np.int64(at))
        if data[behind] == CLOSE_LIST:
            return behind + 1, np.int64(count)
        if data[behind] != COMMA:
            return -1, first
        at = np.uint64(behind)
