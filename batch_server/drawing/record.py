"""A drawing as bytes.

A record is the number of strokes, then the number of points of each stroke, both as LEB128 (seven bits a byte, lowest
first, the high bit set on all bytes but the last), then for each stroke its x bytes and its y bytes. It holds at least
one stroke and each stroke at least one point. Counts are written in as few bytes as possible, so equal drawings have
equal bytes. An average Quick, Draw! drawing takes 106 bytes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

Stroke = tuple[Sequence[int], Sequence[int]]

# Counts end below this: five LEB128 bytes always fit, and sums of counts fit an int64.
COUNT_LIMIT = 1 << 31


def pack(strokes: Sequence[Stroke]) -> bytes:
    """Packs a drawing.

    Args:
        strokes: At least one pair `(xs, ys)`; both have the same length, at least 1, of integers in 0..255.

    Returns:
        The record.

    Raises:
        ValueError: There is no stroke, a stroke has no point, its lists differ in length, or a value is out of range.
    """
    if not strokes:
        raise ValueError("a drawing has at least one stroke, got none")
    counts = bytearray(_leb128(len(strokes)))
    points = bytearray()
    for xs, ys in strokes:
        if len(xs) != len(ys) or not len(xs):
            raise ValueError(f"a stroke has as many x as y and at least one, got {len(xs)} and {len(ys)}")
        counts += _leb128(len(xs))
        points += bytes(xs)
        points += bytes(ys)
    return bytes(counts + points)


def unpack(record: bytes | memoryview) -> list[npt.NDArray[np.uint8]]:
    """Unpacks a drawing.

    Args:
        record: A record as `pack` makes it.

    Returns:
        For each stroke its points, uint8 `[points, 2]`, x first, in 0..255.

    Raises:
        ValueError: The bytes are not a well-formed record.
    """
    data = np.frombuffer(record, np.uint8)
    if not is_well_formed(data, 0, len(data)):
        raise ValueError(f"not a well-formed drawing record: {len(data)} bytes beginning with {bytes(data[:16]).hex()}")
    strokes, at = read_count(data, 0)
    counts = []
    for _ in range(strokes):
        count, at = read_count(data, at)
        counts.append(count)
    points = []
    for count in counts:
        points.append(np.ascontiguousarray(data[at : at + 2 * count].reshape(2, count).T))
        at += 2 * count
    return points


@njit(cache=True, nogil=True)
def read_count(data, start):  # type: ignore[no-untyped-def]
    """Reads one LEB128 number of a well-formed record; nothing is checked.

    Args:
        data: uint8 `[bytes]`.
        start: Where the number begins.

    Returns:
        The number and the position after it, both int64.
    """
    at = np.int64(start)
    if data[at] < 128:  # nearly always
        return np.int64(data[at]), at + 1
    value = np.int64(0)
    shift = np.int64(0)
    while data[at] >= 128:
        value |= np.int64(data[at] & 127) << shift
        shift += 7
        at += 1
    return value | (np.int64(data[at]) << shift), at + 1


@njit(cache=True, nogil=True)
def write_count(data, start, value):  # type: ignore[no-untyped-def]
    """Writes one LEB128 number.

    Args:
        data: uint8 `[bytes]`, with room for it.
        start: Where the number begins.
        value: int64, 0 or more.

    Returns:
        The position after it, int64.
    """
    at = np.int64(start)
    while value >= 128:
        data[at] = value & 127 | 128
        value >>= 7
        at += 1
    data[at] = value
    return at + 1


@njit(cache=True, nogil=True)
def is_well_formed(data, start, end):  # type: ignore[no-untyped-def]
    """Whether bytes are one record from its first byte to its last, so that a kernel may trust its counts.

    Args:
        data: uint8 `[bytes]`; nothing outside `start..end` is read.
        start: Where the record begins, within `data`.
        end: Where it ends, within `data` and not before `start`.

    Returns:
        True if `start..end` is what `pack` makes of some drawing.
    """
    strokes, at = _checked_count(data, start, end)
    if strokes <= 0 or strokes > end - at:
        return False
    points = np.int64(0)
    for _ in range(strokes):
        count, at = _checked_count(data, at, end)
        if count <= 0:
            return False
        points += count
    return at + 2 * points == end


@njit(cache=True, nogil=True)
def _checked_count(data, start, end):  # type: ignore[no-untyped-def]
    """The number at `start` and the position after it; -1 if it is cut off, too large or longer than it need be."""
    value = np.int64(0)
    at = np.int64(start)
    if at < end and data[at] < 128:  # nearly always
        return np.int64(data[at]), at + 1
    for index in range(5):
        if at >= end:
            break
        byte = np.int64(data[at])
        value |= (byte & 127) << (7 * index)
        at += 1
        if byte < 128:
            minimal = index == 0 or byte > 0
            return (value if minimal and value < COUNT_LIMIT else np.int64(-1)), at
    return np.int64(-1), at


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
