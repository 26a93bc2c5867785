"""From a packed record to points on a canvas: stroke dropout, the affine matrix, point jitter."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batch_server.drawing.record import read_count
from batch_server.randomness import operation, uniform
from batch_server.rendering.affine import Canvas, Warp, random_affine
from batch_server.rendering.compiled import piece
from batch_server.rendering.sample import Sample, between, stream

STROKE_DROPOUT = operation("stroke_dropout")
JITTER = operation("jitter")

# The middle of the coordinates, 0..255.
MIDDLE = 127.5

# Segments that may be read, though none is there, behind those of a drawing.
SPARE_SEGMENTS = 8

# Rows of `Placed.segments`: where a segment begins, and where it ends.
X0, Y0, X1, Y1 = range(4)


class PointAugment(NamedTuple):
    """The part of `inkstream.Augment` that works on points; units and ranges as there."""

    warp: Warp
    stroke_dropout: float
    jitter: float


class Placed(NamedTuple):
    """Room for the strokes of one drawing on a canvas; stroke k has the segments `ends[k]` to `ends[k + 1]`.

    Attributes:
        segments: float64 `[4, n]`: x and y where each segment begins, then x and y where it ends, in pixels of the
            canvas, from its left edge and its top. A stroke of one point has one segment, from that point to itself.
        ends: int64 `[strokes + 1]`.
    """

    segments: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]


@piece
def room_for(bytes_at_most: int) -> Placed:
    """Room for any record of at most so many bytes: a segment takes two of them, and a stroke at least three.

    There is more behind it, for those who read several segments at a time.
    """
    segments = np.empty((4, bytes_at_most // 2 + 1 + SPARE_SEGMENTS))
    return Placed(segments, np.zeros(bytes_at_most // 3 + 2, np.int64))


@piece
def place_strokes(
    record: npt.NDArray[np.uint8], sample: Sample, augment: PointAugment, canvas: Canvas, placed: Placed
) -> int:
    """Puts the strokes of one drawing onto a canvas, augmented.

    Args:
        record: uint8 `[bytes]`, well-formed.
        sample: Which drawing, in which epoch of which run.
        augment: How points are augmented.
        canvas: Where the drawing goes.
        placed: Receives the strokes that stay, in the order in which they were drawn.

    Returns:
        The number of strokes that stay, at least 1.
    """
    strokes, counts_at = read_count(record, 0)
    at = counts_at
    for _ in range(strokes):
        _, at = read_count(record, at)  # the points begin where the counts end
    middle_u, middle_v = _box_middle(record, strokes, counts_at, at) if canvas.is_centred else (MIDDLE, MIDDLE)
    affine = random_affine(sample, augment.warp, canvas)
    dropout = stream(sample, STROKE_DROPOUT)
    jitter_px = augment.jitter * canvas.side_px
    spared = -1
    kept = 0
    segments = placed.segments
    while kept == 0:  # a second time if all strokes were dropped, and one must be spared
        filled = 0
        passed = 0  # points of the record so far; jitter goes by it, so that dropping a stroke leaves the others alone
        next_count, x_at = counts_at, at
        for stroke in range(strokes):
            count, next_count = read_count(record, next_count)
            if not _is_dropped(dropout, stroke, augment.stroke_dropout) or stroke == spared:
                for i in range(count):
                    # Exact, so a drawing that lies elsewhere in 0..255 is the same picture, bit for bit, when centred.
                    u = record[x_at + i] - middle_u
                    v = record[x_at + count + i] - middle_v
                    x = affine.xx * u + affine.xy * v + affine.x
                    y = affine.yx * u + affine.yy * v + affine.y
                    if jitter_px > 0.0:
                        x += between(sample, JITTER, 2 * (passed + i), -jitter_px, jitter_px)
                        y += between(sample, JITTER, 2 * (passed + i) + 1, -jitter_px, jitter_px)
                    # The segment that begins at the last point is none: the next stroke, or nobody, takes its place.
                    segments[X0, filled + i], segments[Y0, filled + i] = x, y
                    before = filled + max(i - 1, 0)  # the first point ends its own segment, until the second one does
                    segments[X1, before], segments[Y1, before] = x, y
                filled += max(count - 1, 1)
                kept += 1
                placed.ends[kept] = filled
            x_at += 2 * count
            passed += count
        if kept == 0:
            spared = _spared_stroke(dropout, strokes)
    return kept


@piece
def _is_dropped(dropout: np.uint64, stroke: int, probability: float) -> bool:
    return probability > 0.0 and uniform(dropout, np.uint64(stroke)) < probability


@piece
def _spared_stroke(dropout: np.uint64, strokes: int) -> int:
    """The stroke that dropout takes last, so that a drawing never loses all."""
    spared = 0
    for stroke in range(1, strokes):
        if uniform(dropout, np.uint64(stroke)) > uniform(dropout, np.uint64(spared)):
            spared = stroke
    return spared


@piece
def _box_middle(record: npt.NDArray[np.uint8], strokes: int, counts_at: int, points_at: int) -> tuple[float, float]:
    """The middle of the box around all points of a record: dropping a stroke leaves the others where they are."""
    low_x, high_x, low_y, high_y = 255, 0, 255, 0
    at = points_at
    for _ in range(strokes):
        count, counts_at = read_count(record, counts_at)
        for i in range(at, at + count):
            x, y = int(record[i]), int(record[i + count])
            low_x, high_x = min(x, low_x), max(x, high_x)
            low_y, high_y = min(y, low_y), max(y, high_y)
        at += 2 * count
    return (low_x + high_x) * 0.5, (low_y + high_y) * 0.5
