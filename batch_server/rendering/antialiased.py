"""The antialiased style: one compiled call draws a whole chunk, straight at the target size."""

import numpy as np
import numpy.typing as npt

from batch_server.drawing.record import is_well_formed
from batch_server.randomness import operation
from batch_server.rendering.affine import Canvas
from batch_server.rendering.compiled import kernel, piece
from batch_server.rendering.encodings import draw_colours, draw_coverage
from batch_server.rendering.pixel_augment import erase_rectangle, window_origin
from batch_server.rendering.placing import Placed, place_strokes, room_for
from batch_server.rendering.planes import Pixels, empty_planes, fill, write_window
from batch_server.rendering.sample import Sample, between, stream
from batch_server.rendering.settings import GRAY, THIRDS, Settings

LINE_WIDTH = operation("line_width")

COVERAGE_ENCODINGS = (GRAY, THIRDS)


@piece
def _draw_picture(
    record: npt.NDArray[np.uint8], sample: Sample, settings: Settings, placed: Placed, planes: Pixels, picture: Pixels
) -> None:
    """Draws one record; `placed` and `planes` are room to work in."""
    size_px, side_px = settings.size_px, settings.side_px
    # The outermost points of the largest drawing lie a line's width from the edge, so half a width of paper is left
    # around its ink: a small shift cuts nothing.
    step_px = (side_px - 2.0 * settings.line_width_px) / 255.0
    canvas = Canvas(side_px, side_px * 0.5, step_px, True)
    strokes = place_strokes(record, sample, settings.points, canvas, placed)
    factor = between(stream(sample, LINE_WIDTH), 0, settings.line_width_low, settings.line_width_high)
    width_px = settings.line_width_px * factor
    if settings.encoding in COVERAGE_ENCODINGS:
        draw_coverage(planes, placed, strokes, width_px, settings.ink, settings.paper)
    else:
        draw_colours(planes, placed, strokes, width_px, settings.ink, settings.paper)
    top, left = window_origin(sample, side_px, size_px)
    write_window(planes, top, left, size_px, picture)
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
    # `order` and `rainbow` need one more plane, to draw each stroke on.
    planes = empty_planes(channels if settings.encoding in COVERAGE_ENCODINGS else channels + 1, side_px)
    longest = 0
    for row in range(len(key_ids)):
        longest = max(longest, offsets[row + 1] - offsets[row])
    placed = room_for(longest)
    for row in range(len(key_ids)):
        start, end = offsets[row], offsets[row + 1]
        if start == end:
            fill(pictures[row], settings.paper)
        elif is_well_formed(data, start, end):
            sample = Sample(settings.seed, settings.epoch, key_ids[row])
            _draw_picture(data[start:end], sample, settings, placed, planes, pictures[row])
        else:
            return row
    return -1
