"""Planes: the square canvases of uint8 that the antialiased style draws on, one per channel."""

import numpy as np
import numpy.typing as npt

from batch_server.rendering.compiled import piece
from batch_server.rendering.lanes import LANES

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


@piece
def empty_planes(channels: int, side_px: int) -> Pixels:
    """Planes with any content: uint8 `[channels, side, side + LANES]`, as a row's last lanes may lie beyond its end."""
    return np.empty((channels, side_px, side_px + LANES), np.uint8)


@piece
def fill(values: Pixels, value: int | np.int64) -> None:
    """Sets all values of an array of one dimension."""
    for i in range(len(values)):
        values[i] = value


@piece
def fill_plane(plane: Pixels, value: int) -> None:
    """Sets all values of a plane."""
    for y in range(plane.shape[0]):
        fill(plane[y], value)


@piece
def copy_plane(source: Pixels, target: Pixels) -> None:
    """Makes `target` equal to `source`."""
    for y in range(source.shape[0]):
        for x in range(source.shape[1]):
            target[y, x] = source[y, x]


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
def lay_over(plane: Pixels, value: int, coverage: Pixels, box: Box) -> None:
    """Lays a value over a plane as far as it is covered, within `(top, bottom, left, right)`, the ends excluded."""
    top, bottom, left, right = box
    for y in range(top, bottom):
        below = plane[y, left:right]
        covered = coverage[y, left:right]
        for x in range(right - left):
            below[x] = blend(below[x], value, covered[x])


@piece
def clear(plane: Pixels, box: Box) -> None:
    """Sets a plane to 0 within a box."""
    top, bottom, left, right = box
    for y in range(top, bottom):
        fill(plane[y, left:right], 0)


@piece
def tone(plane: Pixels, ink: int, paper: int) -> None:
    """Turns a plane of coverage into ink over paper: coverage 0 is exactly paper, 255 exactly ink."""
    if ink == 255 and paper == 0:
        return  # coverage is what it would become
    for y in range(plane.shape[0]):
        values = plane[y]
        for x in range(len(values)):
            values[x] = blend(paper, ink, values[x])


@piece
def write_window(planes: Pixels, top: int, left: int, size_px: int, picture: Pixels) -> None:
    """Copies a window of one or three planes into a picture, uint8 `[size * size * channels]`, channels last."""
    for y in range(size_px):
        first = planes[0, top + y, left : left + size_px]
        if len(picture) == size_px * size_px:
            line = picture[y * size_px : (y + 1) * size_px]
            for x in range(size_px):
                line[x] = first[x]
        else:
            second = planes[1, top + y, left : left + size_px]
            third = planes[2, top + y, left : left + size_px]
            line = picture[3 * y * size_px : 3 * (y + 1) * size_px]
            for x in range(size_px):
                line[3 * x] = first[x]
                line[3 * x + 1] = second[x]
                line[3 * x + 2] = third[x]
