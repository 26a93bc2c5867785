"""The antialiased style: one compiled call draws a whole chunk, straight at the target size."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batch_server.drawing.record import is_well_formed
from batch_server.randomness import operation
from batch_server.rendering.affine import Canvas
from batch_server.rendering.bench import Bench, empty_bench
from batch_server.rendering.compiled import kernel, piece
from batch_server.rendering.encodings import Pen, draw_colours, draw_coverage
from batch_server.rendering.pixel_augment import erase_rectangle, window_origin
from batch_server.rendering.placing import Placed, place_strokes, room_for
from batch_server.rendering.planes import Pixels, empty_planes, fill, write_window
from batch_server.rendering.sample import Sample, between, sample_of
from batch_server.rendering.settings import GRAY, THIRDS, Settings

LINE_WIDTH = operation("line_width")

COVERAGE_ENCODINGS = (GRAY, THIRDS)


class Room(NamedTuple):
    """Room to work in, for one drawing after the other.

    Attributes:
        placed: Receives strokes on the canvas.
        planes: uint8 `[channels, side * side]`.
        coverage: uint8 `[side * side]`, to draw single strokes on.
        bench: For segments.
    """

    placed: Placed
    planes: Pixels
    coverage: Pixels
    bench: Bench


@piece
def _draw_picture(
    record: npt.NDArray[np.uint8], sample: Sample, settings: Settings, room: Room, picture: Pixels
) -> None:
    """Draws one record."""
    size_px, side_px = settings.size_px, settings.side_px
    # The outermost points of the largest drawing lie a line's width from the edge, so half a width of paper is left
    # around its ink: a small shift cuts nothing.
    step_px = (side_px - 2.0 * settings.line_width_px) / 255.0
    canvas = Canvas(side_px, side_px * 0.5, step_px, True)
    strokes = place_strokes(record, sample, settings.points, canvas, room.placed)
    factor = between(sample, LINE_WIDTH, 0, settings.line_width_low, settings.line_width_high)
    width_px = settings.line_width_px * factor
    pen = Pen(width_px, int(min(width_px, 1.0) * 255.0 + 0.5), settings.ink, settings.paper)
    # The picture is drawn straight where it goes if that is a plane; else it is made of the planes at the end.
    is_plane = len(picture) == side_px * side_px
    planes = picture.reshape(1, len(picture)) if is_plane else room.planes
    if settings.encoding in COVERAGE_ENCODINGS:
        draw_coverage(planes, side_px, room.placed, strokes, pen, room.bench)
    else:
        draw_colours(planes, room.coverage, side_px, room.placed, strokes, pen, room.bench)
    if not is_plane:
        top, left = window_origin(sample, side_px, size_px)
        write_window(planes, side_px, top, left, size_px, picture)
    erase_rectangle(picture, size_px, sample, settings.erasing, settings.paper)


@kernel
def draw_chunk(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    key_ids: npt.NDArray[np.uint64],
    settings: Settings,
    pictures: npt.NDArray[np.uint8],
) -> int:
    """Draws a chunk.

    Args:
        data: uint8 `[bytes]`, packed records back to back.
        offsets: int64 `[n + 1]`, where each record begins and ends.
        key_ids: uint64 `[n]`.
        settings: The pipeline's.
        pictures: uint8 `[n, size * size * channels]`; receives the pictures.

    Returns:
        The first row whose bytes are not a well-formed record, at which drawing ended; -1 if there is none.
    """
    size_px, side_px = settings.size_px, settings.side_px
    channels = pictures.shape[1] // (size_px * size_px)
    longest = 0
    for row in range(len(key_ids)):
        longest = max(longest, offsets[row + 1] - offsets[row])
    planes = empty_planes(channels + 1, side_px)
    room = Room(room_for(longest), planes[:channels], planes[channels], empty_bench())
    for row in range(len(key_ids)):
        start, end = offsets[row], offsets[row + 1]
        if start == end:
            fill(pictures[row], settings.paper)
        elif is_well_formed(data, start, end):
            sample = sample_of(settings.seed, settings.epoch, key_ids[row])
            _draw_picture(data[start:end], sample, settings, room, pictures[row])
        else:
            return row
    return -1
