"""Lines onto a canvas of coverage.

The coverage of a pixel is how much of it a round pen's line covers, taken from the distance d between the pixel's
centre and a segment: clamp(width / 2 + 1/2 - d) between 0 and 1. It is exact for a straight edge that is parallel to
the grid. Where segments meet, a pixel has the larger of their coverages.

Segments are measured eight at a time, then blocks of pixels are placed in all rows that they touch, then all blocks are
drawn in one loop. Coverage beyond a segment is 0, so a block may lie anywhere around what it is for.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batch_server.rendering.bench import BLOCK_COUNT, BLOCKS, IS_NARROW, LISTED, PLACED, SEGMENTS, Bench
from batch_server.rendering.compiled import piece
from batch_server.rendering.lanes import UNITS, cover_blocks, list_segment, measure_segments, place_blocks


class Drawn(NamedTuple):
    """The blocks on the bench after `cover_segments`.

    Attributes:
        wide: How many of eight pixels.
        narrow: How many of four.
        are_all: Whether they are all that were drawn; else there were more than the bench holds.
    """

    wide: int
    narrow: int
    are_all: bool


@piece
def cover_segments(
    canvas: npt.NDArray[np.uint8],
    side_px: int,
    segments: npt.NDArray[np.float64],
    start: int,
    end: int,
    width_px: float,
    bench: Bench,
) -> Drawn:
    """Raises the coverage of the pixels near lines; returns what tells where.

    Args:
        canvas: uint8 `[side * side]`, coverage in 1/255.
        side_px: Side of the canvas, at least 8.
        segments: float64 `[4, n]`, as in `placing.Placed`.
        start: Number of the first segment to draw.
        end: Number of the one after the last.
        width_px: Width of the lines. The coverage by one of less than a pixel is too large: see `planes.limit`.
        bench: Room to work in.
    """
    _ = canvas[side_px * side_px - 1]  # costs nothing, unless bounds are checked
    reach_px = width_px * 0.5 + 0.5
    reach = np.float32(reach_px * UNITS + 0.5)
    wide, narrow, listed, are_all = 0, 0, 0, True
    for first in range(start, end, SEGMENTS):
        if listed > LISTED - SEGMENTS:
            cover_blocks(bench, wide, narrow, reach, canvas)
            wide, narrow, listed, are_all = 0, 0, 0, False
        measure_segments(bench, segments, first, reach_px, float(side_px))
        for segment in range(min(end - first, SEGMENTS)):
            list_segment(bench, segment, listed)
            is_narrow = int(bench.wholes[IS_NARROW + segment])
            count = int(bench.wholes[BLOCK_COUNT + segment])
            count += count & is_narrow  # narrow ones go in pairs
            for block in range(0, count, PLACED):
                if max(wide, narrow) > BLOCKS - PLACED:
                    cover_blocks(bench, wide, narrow, reach, canvas)
                    wide, narrow, are_all = 0, 0, False
                at = BLOCKS + narrow if is_narrow else wide
                place_blocks(bench, segment, listed, np.int32(block), at, np.int32(side_px))
                placed = min(count - block, PLACED)
                narrow += placed * is_narrow
                wide += placed * (1 - is_narrow)
            listed += 1
    cover_blocks(bench, wide, narrow, reach, canvas)
    return Drawn(wide, narrow, are_all)
