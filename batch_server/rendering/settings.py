"""The settings of a pipeline as plain numbers, the way kernels take them."""

import functools
from typing import NamedTuple

import numpy as np

from batch_server.rendering.affine import Warp
from batch_server.rendering.pixel_augment import Erasing, canvas_side_px
from batch_server.rendering.placing import PointAugment
from inkstream.pipeline import ENCODINGS, FILLS, Augment, Erase, Render

GRAY, RAINBOW, ORDER, THIRDS = (ENCODINGS.index(name) for name in ("gray", "rainbow", "order", "thirds"))


class Settings(NamedTuple):
    """Everything that a drawing's picture depends on, besides the drawing and its key id.

    Attributes:
        seed: Of the run.
        epoch: Of the run.
        size_px: Side of the picture.
        side_px: Side of the canvas that the picture is cut from, larger if there is a crop.
        encoding: `GRAY`, `RAINBOW`, `ORDER` or `THIRDS`.
        ink: 0..255; classic rainbow has none (0 here).
        paper: 0..255.
        line_width_px: Before augmentation; classic has none (0 here).
        line_width_low: Least factor on the width.
        line_width_high: Largest factor on the width.
        points: Augmentation of points.
        erasing: Augmentation of pixels.
    """

    seed: np.uint64
    epoch: np.uint64
    size_px: int
    side_px: int
    encoding: int
    ink: int
    paper: int
    line_width_px: float
    line_width_low: float
    line_width_high: float
    points: PointAugment
    erasing: Erasing


# Chunks of a few runs take turns; making the numbers anew for each would cost one in twenty of its microseconds.
@functools.lru_cache(maxsize=256)
def settings_of(seed: int, epoch: int, render: Render, augment: Augment) -> Settings:
    """The numbers of a pipeline's `render` and `augment` for one epoch of a run."""
    erase = augment.erase or Erase(probability=0.0)
    return Settings(
        seed=np.uint64(seed),
        epoch=np.uint64(epoch),
        size_px=render.size,
        side_px=canvas_side_px(render.size, augment.crop),
        encoding=ENCODINGS.index(render.encoding),
        ink=render.ink or 0,
        paper=render.paper_pixel[0],
        line_width_px=render.line_width_px or 0.0,
        line_width_low=augment.line_width[0],
        line_width_high=augment.line_width[1],
        points=PointAugment(
            warp=Warp(
                rotate_deg=augment.rotate_deg,
                shift=augment.shift,
                shear=augment.shear,
                scale_low=augment.scale[0],
                scale_high=augment.scale[1],
                zoom_low=augment.zoom[0],
                zoom_high=augment.zoom[1],
                flip_horizontal=augment.flip_horizontal,
                flip_vertical=augment.flip_vertical,
            ),
            stroke_dropout=augment.stroke_dropout,
            jitter=augment.jitter,
        ),
        erasing=Erasing(
            probability=erase.probability,
            area_low=erase.area[0],
            area_high=erase.area[1],
            aspect_low=erase.aspect[0],
            aspect_high=erase.aspect[1],
            fill=FILLS.index(erase.fill),
            value=erase.value or 0,
        ),
    )
