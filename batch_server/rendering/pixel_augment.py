"""Augmentation on pixels, the same in both styles: the random window of a crop, and random erasing."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batch_server.randomness import operation
from batch_server.rendering.compiled import piece
from batch_server.rendering.planes import fill
from batch_server.rendering.sample import Sample, between, choice, happens
from inkstream.pipeline import FILLS

CROP = operation("crop")
ERASE = operation("erase")

FILL_RANDOM, FILL_PAPER, FILL_VALUE = range(len(FILLS))

# As in the code of the method's authors: after so many rectangles that do not fit, nothing is erased.
ERASE_ATTEMPTS = 100


class Erasing(NamedTuple):
    """`inkstream.Erase` as numbers; a probability of 0 stands for none."""

    probability: float
    area_low: float
    area_high: float
    aspect_low: float
    aspect_high: float
    fill: int
    value: int


def canvas_side_px(size_px: int, crop: float) -> int:
    """The side of the canvas from which a window of `size_px` is cut: round(size / (1 - crop))."""
    return int(size_px / (1.0 - crop) + 0.5)


@piece
def window_origin(sample: Sample, side_px: int, size_px: int) -> tuple[np.int64, np.int64]:
    """Row and column of a sample's random window of `size_px` on a canvas of `side_px`."""
    places = side_px - size_px + 1
    return choice(sample, CROP, 0, places), choice(sample, CROP, 1, places)


@piece
def erase_rectangle(picture: npt.NDArray[np.uint8], size_px: int, sample: Sample, erasing: Erasing, paper: int) -> None:
    """Fills one random rectangle of a picture (Zhong et al. 2017, arXiv 1708.04896, algorithm 1).

    Area and aspect (height over width) are uniform in their ranges; a rectangle that does not fit is drawn again.

    Args:
        picture: uint8 `[size * size * channels]`.
        size_px: Side of the picture.
        sample: Which drawing, in which epoch of which run.
        erasing: The settings.
        paper: Value of paper.
    """
    if not happens(sample, ERASE, 0, erasing.probability):
        return
    value = np.int64(paper)
    if erasing.fill == FILL_VALUE:
        value = np.int64(erasing.value)
    elif erasing.fill == FILL_RANDOM:
        value = choice(sample, ERASE, 1, 256)
    channels = len(picture) // (size_px * size_px)
    for attempt in range(ERASE_ATTEMPTS):
        index = 2 + 4 * attempt
        area = between(sample, ERASE, index, erasing.area_low, erasing.area_high) * size_px * size_px
        aspect = between(sample, ERASE, index + 1, erasing.aspect_low, erasing.aspect_high)
        height = max(int(np.sqrt(area * aspect) + 0.5), 1)
        width = max(int(np.sqrt(area / aspect) + 0.5), 1)
        if height <= size_px and width <= size_px:
            top = choice(sample, ERASE, index + 2, size_px - height + 1)
            left = choice(sample, ERASE, index + 3, size_px - width + 1)
            for y in range(top, top + height):
                start = (y * size_px + left) * channels
                fill(picture[start : start + width * channels], value)
            return
