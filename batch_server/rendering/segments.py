"""Lines onto a canvas of coverage.

The coverage of a pixel is how much of it a round pen's line covers, taken from the distance d between the pixel's
centre and a segment: clamp(width / 2 + 1/2 - d) between 0 and 1. It is exact for a straight edge that is parallel to
the grid. Where segments meet, a pixel has the larger of their coverages.

A line's segments are measured eight at a time, then blocks of eight pixels are placed in all rows that they touch, then
all blocks are drawn in one loop. Coverage beyond a segment is 0, so a block may lie anywhere around what it is for.
"""

import numpy as np
import numpy.typing as npt

from batch_server.rendering.compiled import piece
from batch_server.rendering.lanes import (
    BLOCKS,
    LANES,
    ROW_BLOCKS,
    ROW_COUNT,
    ROWS,
    SEGMENTS,
    TOGETHER,
    UNITS,
    Bench,
    cover_blocks,
    measure_segments,
    place_blocks,
    spread_steps,
)


@piece
def cover_line(
    canvas: npt.NDArray[np.uint8],
    side_px: int,
    xs: npt.NDArray[np.float64],
    ys: npt.NDArray[np.float64],
    first: int,
    last: int,
    width_px: float,
    bench: Bench,
) -> None:
    """Raises the coverage of the pixels near a line through points.

    Args:
        canvas: uint8 `[side * side]`, coverage in 1/255.
        side_px: Side of the canvas, at least 8.
        xs: float64, in pixels from the canvas' left edge; the points may lie anywhere. Eight more follow the last one.
        ys: float64, from its top.
        first: Number of the first point.
        last: Number of the last point; with the first one, or at the same place, it makes a dot.
        width_px: Width of the line. The coverage by one of less than a pixel is too large: see `planes.limit`.
        bench: Room to work in.
    """
    _ = canvas[side_px * side_px - 1]  # costs nothing, unless bounds are checked
    reach_px = width_px * 0.5 + 0.5
    reach = np.float32(reach_px * UNITS + 0.5)
    step = 1 if last > first else 0
    end = max(last, first + 1)
    for start in range(first, end, SEGMENTS):
        measure_segments(bench, xs, ys, start, start + step, reach_px, float(side_px))
        placed = 0
        for segment in range(min(end - start, SEGMENTS)):
            spread_steps(bench, segment)
            rows = int(bench.wholes[ROW_COUNT + segment])
            for block in range(int(bench.wholes[ROW_BLOCKS + segment])):
                for row in range(0, rows, ROWS):
                    if placed > BLOCKS - ROWS - TOGETHER:
                        cover_blocks(bench, placed, reach, canvas)
                        placed = 0
                    place_blocks(bench, segment, np.int32(row), np.float32(block * LANES), placed, np.int32(side_px))
                    placed += min(rows - row, ROWS)
        cover_blocks(bench, placed, reach, canvas)
