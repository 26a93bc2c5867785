"""A fixed batch that shows whether two renderers draw alike: servers report its digest, clients compare.

The drawings and pipelines are fixed for good: both styles, all encodings, all augmentations, small and large pictures.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from batch_server.drawing.record import Stroke, pack
from batch_server.randomness import bits
from batch_server.rendering.renderer import draw
from inkstream.pipeline import Augment, Erase, Render

DRAWINGS = 24

GENTLE = Augment(rotate_deg=10, shift=0.05, scale=(0.9, 1.1), stroke_dropout=0.05)
EVERYTHING = Augment(
    rotate_deg=180,
    shift=0.2,
    shear=0.3,
    scale=(0.5, 1.5),
    zoom=(0.8, 1.6),
    flip_horizontal=0.5,
    flip_vertical=0.5,
    stroke_dropout=0.4,
    jitter=0.01,
    line_width=(0.5, 2.0),
    crop=0.1,
    erase=Erase(probability=0.7),
)
EVERYTHING_CLASSIC = Augment(
    rotate_deg=180,
    shift=0.2,
    shear=0.3,
    scale=(0.5, 1.5),
    zoom=(0.8, 1.6),
    flip_horizontal=0.5,
    flip_vertical=0.5,
    stroke_dropout=0.4,
    jitter=0.01,
    crop=0.1,
    erase=Erase(fill="value", value=100),
)
FAR = Augment(rotate_deg=180, shift=1.0, shear=1.0, scale=(0.1, 10.0), zoom=(0.1, 10.0))
PIPELINES = (
    (Render(size=128), None),
    (Render(size=64), GENTLE),
    (Render(size=28, line_width_px=1.5, ink=0, paper=255), EVERYTHING),
    (Render(size=200, line_width_px=0.5), FAR),
    (Render(size=90, encoding="order"), EVERYTHING),
    (Render(size=64, encoding="rainbow", ink=220, paper=30), EVERYTHING),
    (Render(size=8, encoding="thirds"), None),
    (Render(size=71, encoding="thirds", line_width_px=10), EVERYTHING),
    (Render(size=128, style="classic"), None),
    (Render(size=64, style="classic", encoding="rainbow"), None),
    (Render(size=40, style="classic", encoding="rainbow"), EVERYTHING_CLASSIC),
    (Render(size=256, style="classic", encoding="order"), GENTLE),
    (Render(size=300, style="classic", encoding="thirds", ink=200, paper=20), EVERYTHING_CLASSIC),
)


@functools.cache
def self_test_digest() -> str:
    """The XXH3-128 of the self-test's pictures, 32 hexadecimal digits; drawn once per process.

    Servers call it at start, so that the kernels are compiled, or loaded, before the first request.
    """
    digest = xxhash.xxh3_128()
    for picture in _pictures():
        digest.update(picture.data)
    return digest.hexdigest()


class _Records(NamedTuple):
    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]


def _pictures() -> Iterator[npt.NDArray[np.uint8]]:
    records = [pack(_drawing(index)) for index in range(DRAWINGS)]
    offsets = np.cumsum([0, *map(len, records)])
    chunk = _Records(np.frombuffer(b"".join(records), np.uint8), offsets)
    key_ids = np.arange(DRAWINGS, dtype=np.uint64) * np.uint64(7919)
    for epoch, (render, augment) in enumerate(PIPELINES):
        out = np.empty((DRAWINGS, render.size, render.size, render.channels), np.uint8)
        draw(chunk, key_ids, seed=1, epoch=epoch, render=render, augment=augment, out=out)
        yield out


def _drawing(index: int) -> list[Stroke]:
    """A drawing of `index + 1` strokes, wandering, of 1 to 12 points; the last drawing has more strokes than hues."""
    strokes = index + 1 if index + 1 < DRAWINGS else 200
    drawing: list[Stroke] = []
    for stroke in range(strokes):
        numbers = [int(bits(np.uint64(index), np.uint64(100 * stroke + i))) for i in range(26)]
        xs, ys = [numbers[0] % 256], [numbers[1] % 256]
        for point in range(numbers[2] % 12):
            xs.append(min(max(xs[-1] + numbers[3 + 2 * point] % 97 - 48, 0), 255))
            ys.append(min(max(ys[-1] + numbers[4 + 2 * point] % 97 - 48, 0), 255))
        drawing.append((xs, ys))
    return drawing
