"""The encodings of the antialiased style: what becomes of strokes on one or three planes.

`gray` and `thirds` keep a plane of coverage for each channel, which becomes ink over paper when the picture is written.
`order` and `rainbow` give each stroke a colour and lay it over what is there, as far as the stroke covers it: later
strokes lie on top, as where lines are painted one after another.
"""

from typing import NamedTuple

from batch_server.rendering.bench import Bench
from batch_server.rendering.compiled import piece
from batch_server.rendering.hues import rainbow_colour
from batch_server.rendering.placing import X0, X1, Y0, Y1, Placed
from batch_server.rendering.planes import Box, Pixels, blend, copy, fill, lay_over_blocks, lay_over_box, limit, tone
from batch_server.rendering.segments import cover_segments

# `order`: a stroke's share of the way from paper to ink falls by 13/255 with each stroke, down to that of the eleventh,
# as the competition's well-known baseline drew (255 - min(stroke, 10) * 13).
ORDER_STEP, ORDER_STEPS = 13, 10


class Pen(NamedTuple):
    """What a drawing's lines are drawn with.

    Attributes:
        width_px: Of the lines.
        most: Largest coverage, 0..255: a line of less than a pixel covers none wholly.
        ink: Value of ink, 0..255.
        paper: Value of paper, 0..255.
    """

    width_px: float
    most: int
    ink: int
    paper: int


@piece
def order_value(stroke: int, ink: int, paper: int) -> int:
    """The value of stroke number `stroke`, from 0, in the encoding `order`."""
    return blend(paper, ink, 255 - ORDER_STEP * min(stroke, ORDER_STEPS))


@piece
def shown_strokes(strokes: int, channel: int, channels: int) -> int:
    """How many strokes a channel shows: of three channels a third, two thirds (rounded up) and all, of one all."""
    return (strokes * (channel + 1) + channels - 1) // channels


@piece
def draw_coverage(planes: Pixels, side_px: int, placed: Placed, strokes: int, pen: Pen, bench: Bench) -> None:
    """`gray` on one plane and `thirds` on three: in each the strokes that it shows, as ink over paper.

    Args:
        planes: uint8 `[channels, side * side]`.
        side_px: Their side.
        placed: The strokes on the canvas.
        strokes: How many.
        pen: What they are drawn with.
        bench: Room to work in.
    """
    channels = len(planes)
    fill(planes[0], 0)
    drawn = 0
    for channel in range(channels):
        if channel > 0:
            copy(planes[channel - 1], planes[channel])
        end = placed.ends[shown_strokes(strokes, channel, channels)]
        cover_segments(planes[channel], side_px, placed.segments, drawn, end, pen.width_px, bench)
        drawn = end
    for channel in range(channels):
        if pen.width_px < 1.0:
            limit(planes[channel], pen.most)
        tone(planes[channel], pen.ink, pen.paper)


@piece
def draw_colours(
    planes: Pixels, coverage: Pixels, side_px: int, placed: Placed, strokes: int, pen: Pen, bench: Bench
) -> None:
    """`order` on one plane, `rainbow` on three: coloured strokes over paper.

    Args:
        planes: uint8 `[channels, side * side]`.
        coverage: Another plane, to draw a stroke on.
        side_px: Their side.
        placed: The strokes on the canvas.
        strokes: How many.
        pen: What they are drawn with; in `rainbow` its ink is the brightness.
        bench: Room to work in.
    """
    for channel in range(len(planes)):
        fill(planes[channel], pen.paper)
    fill(coverage, 0)
    for stroke in range(strokes):
        if len(planes) == 1:
            value = order_value(stroke, pen.ink, pen.paper)
            colour = (value, value, value)
        else:
            colour = rainbow_colour(stroke, strokes, pen.ink)
        start, end = placed.ends[stroke], placed.ends[stroke + 1]
        drawn = cover_segments(coverage, side_px, placed.segments, start, end, pen.width_px, bench)
        if drawn.are_all:
            lay_over_blocks(planes, colour, pen.most, coverage, bench, drawn)
        else:
            box = _stroke_box(placed, stroke, pen.width_px, side_px)
            lay_over_box(planes, colour, pen.most, coverage, side_px, box)


@piece
def _stroke_box(placed: Placed, stroke: int, width_px: float, side_px: int) -> Box:
    """`(top, bottom, left, right)` around the pixels that a stroke can cover, the ends excluded; empty if none."""
    segments, start, end = placed.segments, placed.ends[stroke], placed.ends[stroke + 1]
    low_x = high_x = segments[X0, start]
    low_y = high_y = segments[Y0, start]
    for segment in range(start, end):  # its first point is there already
        x, y = segments[X1, segment], segments[Y1, segment]
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
