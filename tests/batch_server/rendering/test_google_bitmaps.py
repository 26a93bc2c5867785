"""Real cats against the bitmaps that Google drew of the same drawings, row by row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inkstream.pipeline import Augment, Render

# Google drew with lines of 16 units on a canvas of 256 + 2 * 16 + 16 units, reduced to 28 px.
GOOGLE_PX_PER_UNIT = 28 / 304
LINE_WIDTH_PX = 16 * GOOGLE_PX_PER_UNIT
OUR_PX_PER_UNIT = (28 - LINE_WIDTH_PX) / 255


def centred(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Google centred each drawing by the box around it; here pictures are moved by whole pixels to do so."""
    moved = np.empty_like(pictures)
    for picture, target in zip(pictures, moved, strict=True):
        rows, columns = np.nonzero(picture > 64)
        target[:] = np.roll(
            picture,
            (round((27 - rows.min() - rows.max()) / 2), round((27 - columns.min() - columns.max()) / 2)),
            (0, 1),
        )
    return moved


def standardized(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_best_correlated_bitmap_is_the_same_drawings(
    pictures: Callable[..., npt.NDArray[np.uint8]], cats: list[tuple[int, Any]], quickdraw: Path
) -> None:
    bitmaps = np.load(quickdraw / "bitmap-npy" / "sukumr-3000" / "cat.npy")[: len(cats)].reshape(-1, 28, 28)
    zoom = GOOGLE_PX_PER_UNIT / OUR_PX_PER_UNIT
    ours = pictures(
        [drawing for _, drawing in cats], Render(size=28, line_width_px=LINE_WIDTH_PX), Augment(zoom=(zoom, zoom))
    )[..., 0]
    correlation = standardized(centred(ours)) @ standardized(centred(bitmaps)).T
    right = (correlation.argmax(1) == np.arange(len(cats))).mean()
    print(f"best match is the right one for {right:.2%}, mean correlation {correlation.diagonal().mean():.3f}")
    assert right >= 0.99
    assert correlation.diagonal().mean() > 0.9
