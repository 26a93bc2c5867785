"""Planes: the square canvases of uint8 that the antialiased style draws on, `[side * side]`, row after row."""

import numpy as np
import numpy.typing as npt

from batch_server.rendering.bench import BLOCKS, LANES, OFFSET, Bench
from batch_server.rendering.blending import is_covered, lay_over_lanes, uncover
from batch_server.rendering.compiled import piece
from batch_server.rendering.segments import Drawn

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


@piece
def empty_planes(channels: int, side_px: int) -> Pixels:
    """Planes with any content: uint8 `[channels, side * side]`."""
    return np.empty((channels, side_px * side_px), np.uint8)


@piece
def fill(values: Pixels, value: int | np.int64) -> None:
    """Sets all values."""
    for i in range(len(values)):
        values[i] = value


@piece
def copy(source: Pixels, target: Pixels) -> None:
    """Makes `target` equal to `source`, as long."""
    for i in range(len(source)):
        target[i] = source[i]


@piece
def limit(values: Pixels, most: int) -> None:
    """Lowers what is above `most`."""
    for i in range(len(values)):
        values[i] = min(values[i], np.uint8(most))


@piece
def blend(below: int, above: int, coverage: int) -> np.uint8:
    """(below * (255 - coverage) + above * coverage) / 255, rounded to the nearest; all in 0..255.

    In float32, of which a vector register holds more than of Numba's integers: the sum is exact, and the quotient of
    whole numbers by 255 is never as near to a half as rounding could move it.
    """
    share = np.float32(coverage)
    both = np.float32(below) * (np.float32(255.0) - share) + np.float32(above) * share
    return np.uint8(np.int32(both * np.float32(1.0 / 255.0) + np.float32(0.5)))


@piece
def lay_over_box(
    planes: Pixels, colour: tuple[int, int, int], most: int, coverage: Pixels, side_px: int, box: Box
) -> None:
    """Lays a colour over planes as far as they are covered within a box, and clears the coverage there.

    Args:
        planes: uint8 `[channels, side * side]`.
        colour: The value for each channel; of one, the first is taken.
        most: Largest coverage, 0..255; one that is larger counts as this.
        coverage: A plane of coverage.
        side_px: Their side.
        box: `(top, bottom, left, right)`, the ends excluded. There is no coverage outside it.
    """
    top, bottom, left, right = box
    for y in range(top, bottom):
        for column in range(left, right, LANES):
            # Pixels that are met again have no coverage left.
            offset = y * side_px + min(column, side_px - LANES)
            if is_covered(coverage, offset):
                _lay_over(planes, colour, most, coverage, offset)


@piece
def lay_over_blocks(
    planes: Pixels, colour: tuple[int, int, int], most: int, coverage: Pixels, bench: Bench, drawn: Drawn
) -> None:
    """As `lay_over_box`, but only where blocks were drawn: nothing to ask, so no branch is guessed wrong.

    Args:
        planes: uint8 `[channels, side * side]`.
        colour: The value for each channel; of one, the first is taken.
        most: Largest coverage, 0..255; one that is larger counts as this.
        coverage: A plane of coverage. There is none outside the blocks.
        bench: Holds the blocks.
        drawn: How many.
    """
    for block in range(drawn.wide):
        _lay_over(planes, colour, most, coverage, int(bench.wholes[OFFSET + block]))
    for block in range(BLOCKS, BLOCKS + drawn.narrow):
        # Right of the four pixels there are four more in the same row: narrow ones keep away from the edge.
        _lay_over(planes, colour, most, coverage, int(bench.wholes[OFFSET + block]))


@piece
def _lay_over(planes: Pixels, colour: tuple[int, int, int], most: int, coverage: Pixels, offset: int) -> None:
    """Lays a colour over eight pixels and clears their coverage, so that they may be met again."""
    for channel in range(len(planes)):
        lay_over_lanes(planes[channel], colour[channel], coverage, offset, most)
    uncover(coverage, offset)


@piece
def tone(plane: Pixels, ink: int, paper: int) -> None:
    """Turns a plane of coverage into ink over paper: coverage 0 is exactly paper, 255 exactly ink."""
    if ink == 255 and paper == 0:
        return  # coverage is what it would become
    for i in range(len(plane)):
        plane[i] = blend(paper, ink, plane[i])


@piece
def write_window(planes: Pixels, side_px: int, top: int, left: int, size_px: int, picture: Pixels) -> None:
    """Copies a window of one or three planes into a picture, uint8 `[size * size * channels]`, channels last."""
    for y in range(size_px):
        start = (top + y) * side_px + left
        first = planes[0, start : start + size_px]
        if len(planes) == 1:
            copy(first, picture[y * size_px : (y + 1) * size_px])
        else:
            second = planes[1, start : start + size_px]
            third = planes[2, start : start + size_px]
            line = picture[3 * y * size_px : 3 * (y + 1) * size_px]
            for x in range(size_px):
                line[3 * x] = first[x]
                line[3 * x + 1] = second[x]
                line[3 * x + 2] = third[x]
