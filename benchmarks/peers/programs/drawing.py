"""The work that every peer does for a drawing, as a careful user would write it: LMDB, JSON, NumPy, OpenCV.

A value of the LMDB file is a drawing, as JSON text under its number. Points are augmented before they are drawn, as
Inkstream does it, so no pixel is resampled; lines are antialiased and 2 px wide. Whole batches are drawn in one call,
which was faster than a call per drawing in every framework (in tf.data 2.3 times).
"""

import math
import random
import threading
from itertools import pairwise
from typing import Any

import cv2
import lmdb
import numpy as np
import orjson
from numpy.typing import NDArray

SIZE_PX = 128
BATCH_SIZE = 256
ROTATE_DEG = 10
SHIFT = 0.05
SCALE = (0.9, 1.1)
STROKE_DROPOUT = 0.05

_LINE_WIDTH_PX = 2
_PX_PER_UNIT = (SIZE_PX - 2 * _LINE_WIDTH_PX) / 255
_FRACTION_BITS = 4  # of a pixel, in OpenCV's coordinates

# Frameworks run as many processes or threads as they are asked for; OpenCV's own would only be in their way.
cv2.setNumThreads(0)

_opening = threading.Lock()


class Drawings:
    """Reads and draws. A process that gets a copy opens the file itself, at its first reading."""

    def __init__(self, path: str):
        self._path = path
        self._transaction: Any = None
        with lmdb.open(path, subdir=False, readonly=True, lock=False) as opened:
            self._samples = opened.stat()["entries"]

    def __len__(self) -> int:
        return self._samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_transaction": None}

    def draw_batch(self, numbers: list[int]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Draws white on black: uint8 `[n, 128, 128]`, and the labels, int32 `[n]`."""
        with _opening:  # a process opens a file once, and some frameworks call from several threads
            if self._transaction is None:
                self._transaction = lmdb.open(self._path, subdir=False, readonly=True, lock=False).begin()
        pictures = np.zeros((len(numbers), SIZE_PX, SIZE_PX), np.uint8)
        labels = np.empty(len(numbers), np.int32)
        for row, number in enumerate(numbers):
            sample = orjson.loads(self._transaction.get(number.to_bytes(8, "big")))
            lines = _augmented(sample["drawing"])
            cv2.polylines(pictures[row], lines, False, 255, _LINE_WIDTH_PX, cv2.LINE_AA, _FRACTION_BITS)
            labels[row] = sample["label"]
        return pictures, labels


def _augmented(strokes: list[list[list[int]]]) -> list[NDArray[np.int32]]:
    """The strokes that stay, each int32 `[points, 2]`, in fractions of a pixel."""
    uniform = random.uniform
    kept = [stroke for stroke in strokes if random.random() >= STROKE_DROPOUT] or [random.choice(strokes)]
    angle = math.radians(uniform(-ROTATE_DEG, ROTATE_DEG))
    unit = _PX_PER_UNIT * (1 << _FRACTION_BITS)
    across, down = uniform(*SCALE) * unit, uniform(*SCALE) * unit
    side = SIZE_PX << _FRACTION_BITS
    matrix = np.array(
        [[math.cos(angle) * across, -math.sin(angle) * down], [math.sin(angle) * across, math.cos(angle) * down]]
    )
    centre = np.array([[0.5 + uniform(-SHIFT, SHIFT)], [0.5 + uniform(-SHIFT, SHIFT)]]) * side
    xs: list[int] = []
    ys: list[int] = []
    ends = [0]
    for stroke_xs, stroke_ys in kept:
        xs += stroke_xs
        ys += stroke_ys
        ends.append(len(xs))
    placed = matrix @ (np.array([xs, ys]) - 127.5) + centre
    points = placed.T.astype(np.int32, order="C")
    return [points[start:end] for start, end in pairwise(ends)]
