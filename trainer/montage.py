"""The pictures of a batch beside each other, as one picture."""

import numpy as np

from inkstream.pipeline import Render

GAP_PX = 2
GAP_VALUE = 160  # seen on white and on black


def montage(images: np.ndarray) -> np.ndarray:
    """uint8 `[height, width, 3]`: the rows of a batch, line by line from the top left, as nearly square as can be.

    Args:
        images: uint8 `[rows, size, size, channels]`, at least one row.
    """
    count, size, _, _ = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    lines, pitch = -(-count // columns), size + GAP_PX
    sheet = np.full((lines * pitch + GAP_PX, columns * pitch + GAP_PX, 3), GAP_VALUE, np.uint8)
    for number, image in enumerate(images):
        top, left = (GAP_PX + place * pitch for place in divmod(number, columns))
        sheet[top : top + size, left : left + size] = image  # a single channel is shown in all three
    return sheet


def on_white(images: np.ndarray, render: Render) -> np.ndarray:
    """Dark ink on light paper, whatever the model sees; colours stay as they are. uint8 of any shape."""
    dark_paper = render.paper_pixel[0] < 128 and render.encoding != "rainbow"
    return 255 - images if dark_paper else images
