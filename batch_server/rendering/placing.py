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


class PointAugment(NamedTuple):
    """The part of `inkstream.Augment` that works on points; units and ranges as there."""

    warp: Warp
    stroke_dropout: float
    jitter: float


class Placed(NamedTuple):
    """Room for the strokes of one drawing on a canvas; stroke k has the points `ends[k]` to `ends[k + 1]`.

    Attributes:
        points: float64 `[points, 2]`, x and y in pixels of the canvas, from its top left corner.
        ends: int64 `[strokes + 1]`.
    """

    points: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]


@piece
def room_for(bytes_at_most: int) -> Placed:
    """Room for any record of at most so many bytes: a point takes two of them, and a stroke at least three."""
    return Placed(np.empty((bytes_at_most // 2 + 1, 2), np.float64), np.zeros(bytes_at_most // 3 + 2, np.int64))


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
    dropout = stream(sample, STROKE_DROPOUT)
    jitter = stream(sample, JITTER)
    jitter_px = augment.jitter * canvas.side_px
    strokes, counts_at = read_count(record, 0)
    spared = _spared_stroke(dropout, strokes) if augment.stroke_dropout > 0.0 else 0
    at = counts_at
    for _ in range(strokes):
        _, at = read_count(record, at)  # the points begin where the counts end
    middle_u, middle_v = _box_middle(record, strokes, counts_at, at) if canvas.is_centred else (MIDDLE, MIDDLE)
    affine = random_affine(sample, augment.warp, canvas)
    kept = 0
    filled = 0
    passed = 0  # points of the record so far; jitter goes by it, so that dropping a stroke leaves the others alone
    for stroke in range(strokes):
        count, counts_at = read_count(record, counts_at)
        if stroke == spared or uniform(dropout, np.uint64(stroke)) >= augment.stroke_dropout:
            for i in range(count):
                # Exact, so a drawing that lies elsewhere in 0..255 is the same picture, bit for bit, when centred.
                u = record[at + i] - middle_u
                v = record[at + count + i] - middle_v
                x = affine.xx * u + affine.xy * v + affine.x
                y = affine.yx * u + affine.yy * v + affine.y
                if jitter_px > 0.0:
                    x += between(jitter, 2 * (passed + i), -jitter_px, jitter_px)
                    y += between(jitter, 2 * (passed + i) + 1, -jitter_px, jitter_px)
                placed.points[filled + i, 0] = x
                placed.points[filled + i, 1] = y
            kept += 1
            filled += count
            placed.ends[kept] = filled
        at += 2 * count
        passed += count
    return kept


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
