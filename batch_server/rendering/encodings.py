"""The encodings of the antialiased style: what becomes of strokes on one or three planes.

`gray` and `thirds` keep a plane of coverage for each channel, which becomes ink over paper when the picture is written.
`order` and `rainbow` give each stroke a colour and lay it over what is there, as far as the stroke covers it: later
strokes lie on top, as where lines are painted one after another.
"""

import numpy as np
import numpy.typing as npt

from batch_server.rendering.compiled import piece
from batch_server.rendering.hues import rainbow_colour
from batch_server.rendering.placing import Placed
from batch_server.rendering.planes import Box, Pixels, blend, clear, copy_plane, fill_plane, lay_over, tone
from batch_server.rendering.segments import cover_segment

# `order`: a stroke's share of the way from paper to ink falls by 13/255 with each stroke, down to that of the eleventh,
# as the competition's well-known baseline drew (255 - min(stroke, 10) * 13).
ORDER_STEP, ORDER_STEPS = 13, 10


@piece
def order_value(stroke: int, ink: int, paper: int) -> int:
    """The value of stroke number `stroke`, from 0, in the encoding `order`."""
    return blend(paper, ink, 255 - ORDER_STEP * min(stroke, ORDER_STEPS))


@piece
def shown_strokes(strokes: int, channel: int, channels: int) -> int:
    """How many strokes a channel shows: of three channels a third, two thirds (rounded up) and all, of one all."""
    return (strokes * (channel + 1) + channels - 1) // channels


@piece
def draw_coverage(planes: Pixels, placed: Placed, strokes: int, width_px: float, ink: int, paper: int) -> None:
    """`gray` and `thirds`: in each channel the strokes that it shows, as ink over paper.

    Args:
        planes: From `empty_planes`, one or three.
        placed: The strokes on the canvas.
        strokes: How many.
        width_px: Width of their lines.
        ink: Value of ink.
        paper: Value of paper.
    """
    channels = planes.shape[0]
    fill_plane(planes[0], 0)
    drawn = 0
    for channel in range(channels):
        if channel > 0:
            copy_plane(planes[channel - 1], planes[channel])
        end = shown_strokes(strokes, channel, channels)
        for stroke in range(drawn, end):
            cover_stroke(planes[channel], placed, stroke, width_px)
        drawn = end
    for channel in range(channels):
        tone(planes[channel], ink, paper)


@piece
def draw_colours(planes: Pixels, placed: Placed, strokes: int, width_px: float, ink: int, paper: int) -> None:
    """`order` on one plane, `rainbow` on three: coloured strokes over paper.

    Args:
        planes: From `empty_planes`, one for `order`, three for `rainbow`, and one more to draw a stroke on.
        placed: The strokes on the canvas.
        strokes: How many.
        width_px: Width of their lines.
        ink: Value of ink, in `rainbow` the brightness.
        paper: Value of paper.
    """
    channels = planes.shape[0] - 1
    for channel in range(channels):
        fill_plane(planes[channel], paper)
    coverage = planes[channels]
    fill_plane(coverage, 0)
    for stroke in range(strokes):
        if channels == 1:
            value = order_value(stroke, ink, paper)
            colour = (value, value, value)
        else:
            colour = rainbow_colour(stroke, strokes, ink)
        cover_stroke(coverage, placed, stroke, width_px)
        box = _stroke_box(placed, stroke, width_px, coverage.shape[0])
        for channel in range(channels):
            lay_over(planes[channel], colour[channel], coverage, box)
        clear(coverage, box)


@piece
def cover_stroke(plane: npt.NDArray[np.uint8], placed: Placed, stroke: int, width_px: float) -> None:
    """Raises the coverage of a plane's pixels to that by one stroke."""
    points = placed.points
    first, last = placed.ends[stroke], placed.ends[stroke + 1] - 1
    # A stroke of one point is a segment from that point to itself, a dot.
    for p in range(first, max(last, first + 1)):
        q = min(p + 1, last)
        cover_segment(plane, points[p, 0], points[p, 1], points[q, 0], points[q, 1], width_px)


@piece
def _stroke_box(placed: Placed, stroke: int, width_px: float, side_px: int) -> Box:
    """`(top, bottom, left, right)` around the pixels that a stroke can touch, the ends excluded; empty if none."""
    first = placed.ends[stroke]
    low_x = high_x = placed.points[first, 0]
    low_y = high_y = placed.points[first, 1]
    for p in range(first + 1, placed.ends[stroke + 1]):
        x, y = placed.points[p, 0], placed.points[p, 1]
        low_x, high_x = min(low_x, x), max(high_x, x)
        low_y, high_y = min(low_y, y), max(high_y, y)
    around = width_px * 0.5 + 1.0
    top, bottom = _clipped(low_y - around, side_px), _clipped(high_y + around + 1.0, side_px)
    left, right = _clipped(low_x - around, side_px), _clipped(high_x + around + 1.0, side_px)
    return top, bottom, left, right


@piece
def _clipped(position_px: float, side_px: int) -> int:
    """The pixel at a position, or the nearest end of 0..side."""
    return int(min(max(position_px, 0.0), float(side_px)))
