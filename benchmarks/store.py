"""How long it takes to read, to draw and to do both for random batches, and how many bytes a drawing takes on disk.

`python -m benchmarks.store`.
"""

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batch_server.batches import BatchMaker
from batch_server.drawing.record import unpack
from batch_server.rendering import draw
from batch_server.store.reader import Dataset
from benchmarks.dataset import AUGMENT, imported_dataset
from benchmarks.table import Table
from inkstream.chunking import Span, chunk_rows
from inkstream.pipeline import Pipeline

BATCHES = (16, 32, 64, 128, 256, 512, 1024)
# Batches of each size, all of different drawings.
ROUNDS = 60
# Medians in ms of a system in R and C++ on a Core i5, by batch: drawings from a database, drawn, and both.
R_AND_CPP_MS = {16: ("54", "5.4", "64"), 1024: ("2,720", "431", "3,830")}
# The official .bin: key id 8, country 2, recognized 1, timestamp 4, number of strokes 2; a stroke is 2 and its points.
_BIN_BYTES, _BIN_STROKE_BYTES = 17, 2

Rows = NDArray[np.int64]


def tables(dataset: Path) -> list[Table]:
    """Measures a dataset, which its import has left in memory."""
    opened = Dataset.open(dataset)
    work = _Work(BatchMaker(opened, Pipeline(dataset=dataset.stem, batch_size=max(BATCHES), augment=AUGMENT)))
    for rows in work.batches(max(BATCHES)):  # loads the kernels, and makes memory warm
        work.whole_on_threads(rows)
    times = {size: work.times(size) for size in BATCHES}
    return [_times_table(times, work.threads), _sizes_table(opened)]


class _Work:
    """What is timed; pictures go into memory that is used again, as in a server."""

    def __init__(self, maker: BatchMaker):
        self._maker, self._dataset, self._pipeline = maker, maker.dataset, maker.pipeline
        render = maker.pipeline.render
        self._image = np.empty((max(BATCHES), render.size, render.size, render.channels), np.uint8)
        self.threads = len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads)
        self._rng = np.random.default_rng(1)

    def batches(self, size: int) -> list[Rows]:
        """Random drawings."""
        return [self._rng.integers(0, self._dataset.samples, size) for _ in range(ROUNDS)]

    def times(self, size: int) -> dict[str, list[float]]:
        """Of each kind of work with batches of a size, in ms."""
        return {
            "fetch": [_ms(partial(self._fetch, rows)) for rows in self.batches(size)],
            "draw": [_ms(self._drawing(rows)) for rows in self.batches(size)],
            "whole": [_ms(partial(self._whole, Span(0, size), rows)) for rows in self.batches(size)],
            "threads": [_ms(partial(self.whole_on_threads, rows)) for rows in self.batches(size)],
        }

    def whole_on_threads(self, rows: Rows) -> None:
        """The whole batch in chunks, as a server cuts it."""
        chunks = chunk_rows(Span(0, len(rows)), self._image[0].nbytes, compressed=True)
        list(self._pool.map(lambda chunk: self._whole(chunk, rows[slice(*chunk)]), chunks))

    def _fetch(self, rows: Rows) -> None:
        self._dataset.take("label", rows)
        self._dataset.take("key_id", rows)
        self._dataset.records(rows)

    def _drawing(self, rows: Rows) -> Callable[[], None]:
        """Fetches, and returns what draws."""
        return partial(
            draw,
            self._dataset.records(rows),
            self._dataset.take("key_id", rows),
            seed=self._pipeline.seed,
            epoch=0,
            render=self._pipeline.render,
            augment=self._pipeline.augment,
            out=self._image[: len(rows)],
        )

    def _whole(self, where: Span, rows: Rows) -> None:
        self._maker.samples(0, rows, image=self._image[slice(*where)])


def _ms(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


def _times_table(times: dict[int, dict[str, list[float]]], threads: int) -> Table:
    largest = times[max(BATCHES)]
    return Table(
        "Batches of random drawings: minimum / median / maximum, ms",
        "Fetching reads and verifies records and columns; drawing is at 128x128 gray, augmented. On one thread, and "
        f"the whole also in chunks on {threads}. {ROUNDS} batches each. Beside them medians of a system in R and C++ "
        "on a Core i5 with its drawings in a database: fetch / draw / whole.",
        ("batch", "fetch", "draw", "whole", f"whole, {threads} threads", "R and C++"),
        [
            (f"{size:,}", *map(_spread, of_size.values()), " / ".join(R_AND_CPP_MS.get(size, ())))
            for size, of_size in times.items()
        ],
        {
            "fetch_1024_ms": statistics.median(largest["fetch"]),
            "batch_1024_ms": statistics.median(largest["threads"]),
        },
    )


def _spread(times_ms: list[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in (min(times_ms), statistics.median(times_ms), max(times_ms)))


def _sizes_table(dataset: Dataset) -> Table:
    """Where the bytes of a dataset are."""
    samples = dataset.samples
    records = dataset.records(np.arange(samples))
    drawings = [unpack(records[i]) for i in range(samples)]
    official = _BIN_BYTES * samples + sum(_BIN_STROKE_BYTES + stroke.size for drawing in drawings for stroke in drawing)
    in_records = len(records.data)
    in_pages = int(dataset.places["records"][:, 1].sum())
    in_columns = sum(int(dataset.places[name][:, 1].sum()) for name in dataset.columns)
    parts = {
        "official binary layout": official,
        "dataset": dataset.used_bytes,
        "- packed drawings": in_records,
        "- their offsets and checksums": in_pages - in_records,
        "- columns, with checksums": in_columns,
        "- LMDB's pages, index, lists": dataset.used_bytes - in_pages - in_columns,
    }
    return Table(
        "Bytes per drawing on disk",
        f"{samples:,} drawings with all their columns.",
        ("part", "bytes per drawing", "against official"),
        [(name, f"{size / samples:.2f}", f"{size / official:.3f}x") for name, size in parts.items()],
        {"bytes_against_official": dataset.used_bytes / official},
    )


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
