"""One segment of a line onto a plane of coverage.

The coverage of a pixel is how much of it a round pen's line covers, taken from the distance d between the pixel's
centre and the segment: clamp(width / 2 + 1/2 - d) between 0 and min(1, width). It is exact for a straight edge that is
parallel to the grid. Where segments meet, a pixel has the larger of their coverages.
"""

import numpy as np
import numpy.typing as npt

from batch_server.rendering.compiled import piece
from batch_server.rendering.lanes import LANES, cover_lanes

# Lines flatter than this touch a row in all columns of their box: the slope of an edge is then no use.
FLATTEST = 1e-6


@piece
def cover_segment(plane: npt.NDArray[np.uint8], x0: float, y0: float, x1: float, y1: float, width_px: float) -> None:
    """Raises the coverage of the pixels near the segment from (x0, y0) to (x1, y1).

    Args:
        plane: uint8 `[side, side + LANES]`, coverage in 1/255.
        x0: This and the others in pixels from the top left corner; they may lie anywhere.
        y0: See `x0`.
        x1: See `x0`.
        y1: See `x0`; a segment of length zero is a dot.
        width_px: Width of the line.
    """
    side_px = plane.shape[0]
    reach = width_px * 0.5 + 0.5
    last = side_px - 1.0
    # The box of the pixels whose centres are nearer than `reach` to the segment's own box.
    left = max(min(x0, x1) - reach + 0.5, 0.0)
    right = min(max(x0, x1) + reach - 0.5, last)
    top = max(min(y0, y1) - reach + 0.5, 0.0)
    bottom = min(max(y0, y1) + reach - 0.5, last)
    if left >= side_px or right < 0.0 or top >= side_px or bottom < 0.0:
        return

    length = np.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0))
    along_x, along_y = 1.0, 0.0  # a dot has no direction, any will do
    if length > 0.0:
        along_x = (x1 - x0) / length
        along_y = (y1 - y0) / length
    middle_x = (x0 + x1) * 0.5
    middle_y = (y0 + y1) * 0.5

    # The band where |distance to the line| < reach is, in each row, `half_band` to both sides of a centre that moves by
    # `slant` from row to row.
    slant = 0.0
    half_band = 2.0 * side_px
    band_x = (left + right) * 0.5
    if abs(along_y) > FLATTEST:
        slant = along_x / along_y
        half_band = reach / abs(along_y)
        band_x = middle_x - 0.5 - slant * middle_y

    for row in range(int(top), int(bottom) + 1):
        y = row + 0.5
        centre = band_x + slant * y
        first = int(max(centre - half_band + 1.0, left))
        end = int(min(centre + half_band, right)) + 1
        down = y - middle_y
        across = np.float32(along_x * down - along_y * (0.5 - middle_x))
        along = np.float32(along_x * (0.5 - middle_x) + along_y * down)
        for column in range(first, end, LANES):
            _ = plane[row, column + LANES - 1]  # costs nothing, unless bounds are checked
            cover_lanes(
                plane,
                row,
                column,
                across,
                np.float32(-along_y),
                along,
                np.float32(along_x),
                np.float32(length * 0.5),
                np.float32(reach),
                np.float32(min(width_px, 1.0)),
            )
