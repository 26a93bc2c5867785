"""Real cats against the bitmaps that Google drew of the same drawings, row by row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inkstream.pipeline import Render


def standardized(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_best_correlated_bitmap_is_the_same_drawings(
    pictures: Callable[..., npt.NDArray[np.uint8]], cats: list[tuple[int, Any]], quickdraw: Path
) -> None:
    bitmaps = np.load(quickdraw / "bitmap-npy" / "sukumr-3000" / "cat.npy")[: len(cats)].reshape(-1, 28, 28)
    ours = pictures([drawing for _, drawing in cats], Render(size=28))[..., 0]
    correlation = standardized(ours) @ standardized(bitmaps).T
    right = (correlation.argmax(1) == np.arange(len(cats))).mean()
    print(f"best match is the right one for {right:.2%}, mean correlation {correlation.diagonal().mean():.3f}")
    assert right >= 0.99
    assert correlation.diagonal().mean() > 0.9
