"""The affine matrix of a drawing: flips, magnification, shear, rotation and shift, about the drawing's middle."""

from typing import NamedTuple

from batch_server.randomness import operation
from batch_server.rendering.compiled import piece
from batch_server.rendering.sample import Sample, between, happens
from batch_server.rendering.trigonometry import sine_cosine

FLIP_HORIZONTAL = operation("flip_horizontal")
FLIP_VERTICAL = operation("flip_vertical")
SCALE = operation("scale")
ZOOM = operation("zoom")
SHEAR = operation("shear")
ROTATE = operation("rotate")
SHIFT = operation("shift")


class Warp(NamedTuple):
    """The part of `inkstream.Augment` that moves whole drawings; units and ranges as there."""

    rotate_deg: float
    shift: float
    shear: float
    scale_low: float
    scale_high: float
    zoom_low: float
    zoom_high: float
    flip_horizontal: float
    flip_vertical: float


class Canvas(NamedTuple):
    """Where a drawing goes that is not warped: its middle to `centre_px` of a square.

    Attributes:
        side_px: Side of the square.
        centre_px: The same for x and y.
        step_px: Pixels from one coordinate to the next.
        is_centred: Whether a drawing's middle is that of the box around all its points, or always that of 0..255.
    """

    side_px: int
    centre_px: float
    step_px: float
    is_centred: bool


class Affine(NamedTuple):
    """From (u, v), coordinates less those of the drawing's middle, to a canvas' pixels.

    That is (xx * u + xy * v + x, yx * u + yy * v + y).
    """

    xx: float
    xy: float
    x: float
    yx: float
    yy: float
    y: float


@piece
def random_affine(sample: Sample, warp: Warp, canvas: Canvas) -> Affine:
    """The matrix of one drawing: it is flipped, magnified, sheared, rotated and shifted, in this order.

    Args:
        sample: Which drawing, in which epoch of which run.
        warp: Within which bounds.
        canvas: Where the drawing's middle goes, before the shift.
    """
    zoom = between(sample, ZOOM, 0, warp.zoom_low, warp.zoom_high)
    across = zoom * between(sample, SCALE, 0, warp.scale_low, warp.scale_high)
    down = zoom * between(sample, SCALE, 1, warp.scale_low, warp.scale_high)
    if happens(sample, FLIP_HORIZONTAL, 0, warp.flip_horizontal):
        across = -across
    if happens(sample, FLIP_VERTICAL, 0, warp.flip_vertical):
        down = -down
    shear_x = between(sample, SHEAR, 0, -warp.shear, warp.shear)
    shear_y = between(sample, SHEAR, 1, -warp.shear, warp.shear)
    sine, cosine = sine_cosine(between(sample, ROTATE, 0, -warp.rotate_deg, warp.rotate_deg))
    shift_x_px = between(sample, SHIFT, 0, -warp.shift, warp.shift) * canvas.side_px
    shift_y_px = between(sample, SHIFT, 1, -warp.shift, warp.shift) * canvas.side_px

    # rotation * shear * magnification, row by row
    xx = (cosine - sine * shear_y) * across * canvas.step_px
    xy = (cosine * shear_x - sine) * down * canvas.step_px
    yx = (sine + cosine * shear_y) * across * canvas.step_px
    yy = (sine * shear_x + cosine) * down * canvas.step_px
    return Affine(xx, xy, canvas.centre_px + shift_x_px, yx, yy, canvas.centre_px + shift_y_px)
