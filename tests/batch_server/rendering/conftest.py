"""Drawings for the renderer's tests, real and generated, and a short way to draw them."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from batch_server.drawing.record import Stroke, pack
from batch_server.rendering import draw
from batch_server.store.records import Records
from inkstream.pipeline import Augment, Render

Drawing = list[Stroke]


def draw_all(
    drawings: Sequence[Drawing | None],
    render: Render,
    augment: Augment | None = None,
    *,
    seed: int = 1,
    epoch: int = 0,
    key_ids: Sequence[int] | None = None,
) -> npt.NDArray[np.uint8]:
    """The pictures of drawings, uint8 `[n, size, size, channels]`; None stands for an empty record."""
    records = Records.of([b"" if drawing is None else pack(drawing) for drawing in drawings])
    names = np.array(range(len(drawings)) if key_ids is None else key_ids, np.uint64)
    out = np.full((len(drawings), render.size, render.size, render.channels), 77, np.uint8)
    draw(records, names, seed=seed, epoch=epoch, render=render, augment=augment, out=out)
    return out


@pytest.fixture(scope="session")
def pictures() -> Callable[..., npt.NDArray[np.uint8]]:
    return draw_all


@pytest.fixture(scope="session")
def generated() -> list[Drawing]:
    """60 drawings: wandering lines, dots, strokes of one point, the corners, more strokes than hues."""
    rng = random.Random(8)

    def wander(points: int) -> Stroke:
        xs, ys = [rng.randrange(256)], [rng.randrange(256)]
        for _ in range(points - 1):
            xs.append(min(max(xs[-1] + rng.randint(-40, 40), 0), 255))
            ys.append(min(max(ys[-1] + rng.randint(-40, 40), 0), 255))
        return xs, ys

    drawings: list[Drawing] = [[wander(rng.randint(2, 15)) for _ in range(rng.randint(1, 12))] for _ in range(54)]
    drawings.append([([0, 255, 255, 0, 0], [0, 0, 255, 255, 0])])
    drawings.append([([128, 128], [128, 128])])
    drawings.append([([128], [128])])
    drawings.append([([0, 0], [0, 0]), ([255, 255], [255, 255]), ([10, 200], [100, 100])])
    drawings.append([wander(2) for _ in range(200)])
    drawings.append([wander(400)])
    return drawings


def read_drawings(path: Path, limit: int | None = None) -> list[tuple[int, Drawing]]:
    """`(key id, strokes)` of a simplified .ndjson file."""
    with open(path) as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(limit or 10**9), strict=False)]
    return [(int(row["key_id"]), [(xs, ys) for xs, ys in row["drawing"]]) for row in rows]


@pytest.fixture(scope="session")
def real(quickdraw: Path) -> list[Drawing]:
    """310 real drawings, one of each of 310 classes."""
    files = sorted((quickdraw / "simplified-ndjson" / "sketch-dataset-25").glob("*.ndjson"))
    return [read_drawings(file, 1)[0][1] for file in files]


@pytest.fixture(scope="session")
def cats(quickdraw: Path) -> list[tuple[int, Drawing]]:
    """2,000 real cats with their key ids."""
    return read_drawings(quickdraw / "simplified-ndjson" / "class-intro" / "cat_2k.ndjson")
