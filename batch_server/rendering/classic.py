"""The classic style: OpenCV at 256 px, then resized, pixel for pixel as the Quick, Draw! competition's pipelines drew.

They drew on an HSV canvas with background (0, 0, 255), strokes (hue, 255, 220) with a hue that starts at 0 and grows by
the integer 180 / n per stroke, lines of width 3 with 4-connectivity, then HSV to RGB and a bilinear resize. Nothing is
antialiased before the resize, so lines drawn in RGB, from a table of the hues, give the same pixels.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from batch_server.drawing.record import is_well_formed
from batch_server.rendering.affine import Canvas
from batch_server.rendering.compiled import kernel, piece
from batch_server.rendering.encodings import order_value, shown_strokes
from batch_server.rendering.hues import CLASSIC_RGB, stroke_hue
from batch_server.rendering.pixel_augment import erase_rectangle, window_origin
from batch_server.rendering.placing import MIDDLE, X0, X1, Y0, Y1, place_strokes, room_for
from batch_server.rendering.sample import sample_of
from batch_server.rendering.settings import GRAY, ORDER, THIRDS, Settings

CANVAS_PX = 256
LINE_WIDTH_PX = 3

# Threads are the server's business, one per chunk; OpenCV's own would only fight them.
cv2.setNumThreads(1)


def draw_classic(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    key_ids: npt.NDArray[np.uint64],
    settings: Settings,
    pictures: npt.NDArray[np.uint8],
) -> int:
    """Draws a chunk; arguments and result as for `antialiased.draw_chunk`."""
    size_px, side_px = settings.size_px, settings.side_px
    rows = len(key_ids)
    channels = pictures.shape[1] // (size_px * size_px)
    plan = Plan(
        points=np.empty((len(data), 2), np.int32),
        point_ends=np.zeros(len(data) + 1, np.int64),
        colours=np.empty((len(data), 3), np.uint8),
        stroke_ends=np.zeros(rows + 1, np.int64),
        windows=np.zeros((rows, 2), np.int64),
    )
    bad_row = plan_chunk(data, offsets, key_ids, settings, plan)
    if bad_row >= 0:
        return int(bad_row)
    canvas = np.empty((CANVAS_PX, CANVAS_PX, channels), np.uint8)
    for row in range(rows):
        canvas[:] = settings.paper
        for stroke in range(plan.stroke_ends[row], plan.stroke_ends[row + 1]):
            points = plan.points[plan.point_ends[stroke] : plan.point_ends[stroke + 1]]
            colour = plan.colours[stroke, :channels].tolist()
            cv2.polylines(canvas, [points], False, colour, LINE_WIDTH_PX, cv2.LINE_4)
        picture = canvas
        if side_px != CANVAS_PX:
            picture = cv2.resize(canvas, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
        top, left = plan.windows[row]
        window = picture.reshape(side_px, side_px, channels)[top : top + size_px, left : left + size_px]
        pictures[row].reshape(size_px, size_px, channels)[:] = window
    erase_chunk(offsets, key_ids, settings, pictures)
    return -1


class Plan(NamedTuple):
    """What OpenCV is to draw for a chunk, all strokes of all rows in the order in which they are painted.

    Attributes:
        points: int32 `[points, 2]`, x and y in pixels of the canvas.
        point_ends: int64 `[strokes + 1]`; stroke k has the points `point_ends[k]` to `point_ends[k + 1]`, at least two.
        colours: uint8 `[strokes, 3]`, the value in each channel.
        stroke_ends: int64 `[rows + 1]`; row i has the strokes `stroke_ends[i]` to `stroke_ends[i + 1]`.
        windows: int64 `[rows, 2]`, row and column where the picture begins in the resized canvas.
    """

    points: npt.NDArray[np.int32]
    point_ends: npt.NDArray[np.int64]
    colours: npt.NDArray[np.uint8]
    stroke_ends: npt.NDArray[np.int64]
    windows: npt.NDArray[np.int64]


@piece
def _colour(stroke: int, strokes: int, settings: Settings) -> tuple[int, int, int]:
    """The value of a stroke in each channel; a picture of one channel takes the first."""
    ink, paper = settings.ink, settings.paper
    if settings.encoding == GRAY:
        return ink, ink, ink
    if settings.encoding == ORDER:
        value = order_value(stroke, ink, paper)
        return value, value, value
    if settings.encoding == THIRDS:
        first = ink if stroke < shown_strokes(strokes, 0, 3) else paper
        second = ink if stroke < shown_strokes(strokes, 1, 3) else paper
        return first, second, ink
    hue = stroke_hue(stroke, strokes)
    return int(CLASSIC_RGB[hue, 0]), int(CLASSIC_RGB[hue, 1]), int(CLASSIC_RGB[hue, 2])


@kernel
def plan_chunk(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    key_ids: npt.NDArray[np.uint64],
    settings: Settings,
    plan: Plan,
) -> int:
    """Fills `plan` for a chunk; returns the first row without a well-formed record, -1 if there is none."""
    canvas = Canvas(CANVAS_PX, MIDDLE, 1.0, False)
    placed = room_for(len(data))
    point_end = 0
    painted = 0
    for row in range(len(key_ids)):
        start, end = offsets[row], offsets[row + 1]
        if start < end:
            if not is_well_formed(data, start, end):
                return row
            sample = sample_of(settings.seed, settings.epoch, key_ids[row])
            strokes = place_strokes(data[start:end], sample, settings.points, canvas, placed)
            for turn in range(strokes):
                # In `thirds` a channel shows all strokes of the channels before it: those are painted last.
                stroke = strokes - 1 - turn if settings.encoding == THIRDS else turn
                segments, first, end = placed.segments, placed.ends[stroke], placed.ends[stroke + 1]
                for point in range(first, end + 1):
                    # Where each segment begins, and where the last one ends: a stroke of one point is there twice.
                    x = segments[X0, point] if point < end else segments[X1, end - 1]
                    y = segments[Y0, point] if point < end else segments[Y1, end - 1]
                    plan.points[point_end, 0] = np.int32(np.floor(x + 0.5))
                    plan.points[point_end, 1] = np.int32(np.floor(y + 0.5))
                    point_end += 1
                plan.colours[painted, 0], plan.colours[painted, 1], plan.colours[painted, 2] = _colour(
                    stroke, strokes, settings
                )
                painted += 1
                plan.point_ends[painted] = point_end
            top, left = window_origin(sample, settings.side_px, settings.size_px)
            plan.windows[row, 0], plan.windows[row, 1] = top, left
        plan.stroke_ends[row + 1] = painted
    return -1


@kernel
def erase_chunk(
    offsets: npt.NDArray[np.int64],
    key_ids: npt.NDArray[np.uint64],
    settings: Settings,
    pictures: npt.NDArray[np.uint8],
) -> None:
    """Random erasing of a chunk's pictures, uint8 `[n, size * size * channels]`, except of empty records."""
    for row in range(len(key_ids)):
        if offsets[row] < offsets[row + 1]:
            sample = sample_of(settings.seed, settings.epoch, key_ids[row])
            erase_rectangle(pictures[row], settings.size_px, sample, settings.erasing, settings.paper)
