"""The antialiased style: how near it is to the truth, and what its encodings promise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inkstream.pipeline import Augment, Render

Pictures = Callable[..., npt.NDArray[np.uint8]]
OVERSAMPLING = 16


def true_coverage(drawing: Any, size: int, width: float) -> npt.NDArray[np.float64]:
    """The share of each pixel that round lines of a width cover, from 16 x 16 points in each pixel."""
    fine = size * OVERSAMPLING
    inked = np.zeros((fine, fine), bool)
    centres = ((np.arange(fine) + 0.5) / OVERSAMPLING).astype(np.float32)
    for xs, ys in drawing:
        points = np.stack([xs, ys], 1) * (size - width) / 255 + width / 2
        for start, end in zip(points, points[1:], strict=False):
            low = np.maximum((np.minimum(start, end) - width) * OVERSAMPLING, 0).astype(int)
            high = ((np.maximum(start, end) + width) * OVERSAMPLING).astype(int) + 1
            x = centres[low[0] : high[0]][None, :] - np.float32(start[0])
            y = centres[low[1] : high[1]][:, None] - np.float32(start[1])
            dx, dy = (end - start).astype(np.float32)
            along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, np.float32(1e-9)), 0, 1)
            near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= (width / 2) ** 2
            inked[low[1] : high[1], low[0] : high[0]] |= near
    return inked.reshape(size, OVERSAMPLING, size, OVERSAMPLING).mean((1, 3))


@pytest.mark.parametrize(("size", "width", "over_all", "over_ink"), [(128, 2.0, 0.35, 3.5), (64, 1.0, 1.2, 8.0)])
def test_near_to_supersampled_truth(
    pictures: Pictures, real: list[Any], size: int, width: float, over_all: float, over_ink: float
) -> None:
    drawings = real[::10]
    ours = pictures(drawings, Render(size=size, line_width_px=width))[..., 0].astype(float)
    truth = np.stack([true_coverage(drawing, size, width) for drawing in drawings]) * 255
    error = np.abs(ours - truth)
    ink = (truth > 0) | (ours > 0)
    figures = error.mean(), error[ink].mean(), (error[ink] > 64).mean()
    print(f"{size} px, {width} px lines: {figures[0]:.3f} over all, {figures[1]:.2f} over ink, {figures[2]:.2%} off by 64")
    assert figures[0] < over_all
    assert figures[1] < over_ink
    assert figures[2] < 0.01
