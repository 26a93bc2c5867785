"""Inkstream's kernels without a wire, on every core: `kernel_alone.py DATASET`, in the project's own environment."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
from drawing import BATCH_SIZE
from rate import print_rate

import inkstream
from batch_server.batches import BatchMaker
from batch_server.store.reader import Dataset
from benchmarks.dataset import AUGMENT
from inkstream.chunking import Span


def batches(maker: BatchMaker, threads: int) -> Iterator[int]:
    """The rows of batch after batch, each drawn by one thread, into memory that is used again and again."""
    plan = maker.epoch_plan
    render = maker.pipeline.render
    rooms = np.empty((2 * threads, BATCH_SIZE, render.size, render.size, render.channels), np.uint8)

    def draw(number: int) -> int:
        epoch, step = divmod(number, plan.steps_per_epoch)
        rows = Span(0, plan.batch_rows(step))
        maker.chunk(epoch, step, rows, image=rooms[number % len(rooms), : rows.size])
        return rows.size

    with ThreadPoolExecutor(threads) as pool:
        under_way = [pool.submit(draw, number) for number in range(len(rooms))]
        for number in count(len(rooms)):
            yield under_way.pop(0).result()
            under_way.append(pool.submit(draw, number))


if __name__ == "__main__":
    dataset = Dataset.open(Path(sys.argv[1]))
    pipeline = inkstream.Pipeline(dataset=dataset.name, batch_size=BATCH_SIZE, seed=7, augment=AUGMENT)
    print_rate(batches(BatchMaker(dataset, pipeline), os.cpu_count() or 1))
