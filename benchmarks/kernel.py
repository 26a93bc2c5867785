"""Microseconds per drawing of the kernels, from an epoch's order to pictures, and how near they are to the truth.

`python -m benchmarks.kernel`.
"""

import itertools
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_server.batches import BatchMaker
from batch_server.drawing.record import unpack
from batch_server.rendering import draw
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from benchmarks.dataset import AUGMENT, imported_dataset
from benchmarks.table import Table
from inkstream.chunking import Span
from inkstream.pipeline import Pipeline, Render

BATCH = 256
ROUNDS = 7
STEPS = 24  # of a round
THREADS = 2
RENDERS = {
    "gray, 64 px": Render(size=64),
    "gray, 128 px": Render(size=128),
    "gray, 256 px": Render(size=256),
    "order, 128 px": Render(size=128, encoding="order"),
    "thirds, 128 px": Render(size=128, encoding="thirds"),
    "rainbow, 128 px": Render(size=128, encoding="rainbow"),
    "gray, 128 px, classic": Render(size=128, style="classic"),
}
TARGET = "gray, 128 px"
# Side and width of lines, in pixels.
ACCURACIES = ((128, 2.0), (64, 2.0), (64, 1.0))
ACCURACY_DRAWINGS = 60
OVERSAMPLING = 16


def tables(dataset: Path) -> list[Table]:
    """Measures a dataset, which its import has left in memory."""
    opened = Dataset.open(dataset)
    makers = {
        name: BatchMaker(opened, Pipeline(dataset=dataset.stem, batch_size=BATCH, render=render, augment=AUGMENT))
        for name, render in RENDERS.items()
    }
    times = {name: _times_us(maker) for name, maker in makers.items()}
    return [_speed_table(times), _accuracy_table(opened)]


def _times_us(maker: BatchMaker) -> tuple[float, float, float]:
    """Microseconds per drawing: of whole chunks on one thread, of drawing alone, and of whole chunks on two threads."""
    render, steps = maker.pipeline.render, min(STEPS, maker.epoch_plan.steps_per_epoch - 1)
    shape = (BATCH, render.size, render.size, render.channels)
    images = [np.empty(shape, np.uint8) for _ in range(THREADS)]

    def whole(thread: int) -> None:
        for step in range(steps):
            maker.chunk(0, step, Span(0, BATCH), image=images[thread])

    taken = [
        (maker.dataset.records(rows), maker.dataset.take("key_id", rows))
        for rows in (maker.epoch_plan.rows(0, step, Span(0, BATCH)) for step in range(steps))
    ]

    def drawing() -> None:
        for records, key_ids in taken:
            draw(records, key_ids, seed=0, epoch=0, render=render, augment=AUGMENT, out=images[0])

    drawings = steps * BATCH
    with ThreadPoolExecutor(THREADS) as pool:

        def in_threads() -> None:
            list(pool.map(whole, range(THREADS)))

        in_threads()  # loads the kernels, and makes memory warm
        rounds = [
            (_seconds(lambda: whole(0)), _seconds(drawing), _seconds(in_threads) / THREADS) for _ in range(ROUNDS)
        ]
    one, alone, both = (statistics.median(values) * 1e6 / drawings for values in zip(*rounds, strict=True))
    return one, alone, both


def _seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _speed_table(times: dict[str, tuple[float, float, float]]) -> Table:
    return Table(
        "Kernels: microseconds per drawing",
        "Whole chunks of 256, as a server has them drawn: finding records, checking them, random numbers, augmentation "
        "and drawing, into memory that is used again; of that, drawing from records at hand. Rotation, shift, scale "
        f"and stroke dropout. Medians of {ROUNDS} rounds. The last column is how many times the drawings of one "
        f"thread {THREADS} threads make.",
        ("picture", "whole", "of it drawing", f"whole, {THREADS} threads", "scaling"),
        [
            (name, f"{one:.2f}", f"{alone:.2f}", f"{both:.2f}", f"{one / both:.2f}x")
            for name, (one, alone, both) in times.items()
        ],
        {"kernel_us": times[TARGET][0]},
    )


def _accuracy_table(dataset: Dataset) -> Table:
    rows = np.linspace(0, dataset.samples - 1, ACCURACY_DRAWINGS).astype(np.int64)
    records, key_ids = dataset.records(rows), dataset.take("key_id", rows)
    found = []
    for size, width in ACCURACIES:
        of_all, of_ink, far = errors(records, key_ids, size, width)
        found.append((f"{size} px, lines of {width:g} px", f"{of_all:.3f}", f"{of_ink:.2f}", f"{100 * far:.2f} %"))
    return Table(
        f"Kernels: against {OVERSAMPLING} x {OVERSAMPLING} supersampling, of 255",
        f"{ACCURACY_DRAWINGS} drawings in gray, not augmented. The truth is the share of {OVERSAMPLING**2} points in "
        "each pixel that lie within half a line's width of the line. Ink is where either of both is not paper.",
        ("picture", "mean error, all pixels", "mean error, ink", "ink off by more than 64"),
        found,
    )


def errors(records: Records, key_ids: NDArray[np.uint64], size: int, width: float) -> tuple[float, float, float]:
    """Mean absolute error over all pixels and over ink, of 255, and the share of ink that is off by more than 64."""
    ours = np.empty((len(key_ids), size, size, 1), np.uint8)
    render = Render(size=size, line_width_px=width)
    draw(records, key_ids, seed=0, epoch=0, render=render, augment=None, out=ours)
    truth = 255 * np.stack([true_coverage(unpack(records[row]), size, width) for row in range(len(records))])
    error = np.abs(ours[..., 0] - truth)
    ink = (truth > 0) | (ours[..., 0] > 0)
    return float(error.mean()), float(error[ink].mean()), float((error[ink] > 64).mean())


def true_coverage(strokes: list[NDArray[np.uint8]], size: int, width: float) -> NDArray[np.float64]:
    """The share of each pixel that round lines cover, from 16 x 16 points in it: the slow and obvious way.

    Args:
        strokes: For each its points, uint8 `[points, 2]`.
        size: Of the picture, in pixels.
        width: Of the lines, in pixels.

    Returns:
        float64 `[size, size]`, 0 to 1.
    """
    fine = size * OVERSAMPLING
    inked = np.zeros((fine, fine), bool)
    centres = ((np.arange(fine) + 0.5) / OVERSAMPLING).astype(np.float32)
    box = np.concatenate(strokes).astype(float)
    middle = (box.min(0) + box.max(0)) / 2
    for stroke in strokes:
        points = (stroke - middle) * (size - 2 * width) / 255 + size / 2
        for start, end in itertools.pairwise(points if len(points) > 1 else points[[0, 0]]):
            low = np.maximum((np.minimum(start, end) - width) * OVERSAMPLING, 0).astype(int)
            high = ((np.maximum(start, end) + width) * OVERSAMPLING).astype(int) + 1
            x = centres[low[0] : high[0]][None, :] - np.float32(start[0])
            y = centres[low[1] : high[1]][:, None] - np.float32(start[1])
            dx, dy = (end - start).astype(np.float32)
            along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, np.float32(1e-9)), 0, 1)
            near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= (width / 2) ** 2
            inked[low[1] : high[1], low[0] : high[0]] |= near
    return inked.reshape(size, OVERSAMPLING, size, OVERSAMPLING).mean((1, 3))


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
