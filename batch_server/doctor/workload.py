"""What a server does for one chunk, in its stages, and how often threads can do it per second."""

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from batch_server.batches import BatchMaker, tensor_specs
from batch_server.serving.chunks import chunk_messages
from batch_server.serving.read_ahead import ReadAhead
from batch_server.store.reader import Dataset
from inkstream.chunking import Span, chunk_rows
from inkstream.compression import COMPRESSIONS
from inkstream.pipeline import Pipeline
from inkstream.v1 import batch_service_pb2 as pb

# A chunk takes milliseconds, from a slow disk perhaps seconds; a disk that answers nothing must end in an error.
_CHUNK_S = 120.0

# Steps for which records are asked for before they are drawn; clients ask for a few ranges at a time.
_AHEAD = 16

# What a task does with the rows of a position; returns bytes of messages, 0 if it makes none.
Task = Callable[["Position"], int]


class Position(NamedTuple):
    """A chunk: its epoch, its step and its rows of the global batch."""

    epoch: int
    step: int
    rows: Span


class Rate(NamedTuple):
    """How fast a task was done.

    Attributes:
        per_s: Rows per second, all threads together.
        cpu_s: Processor time of a row.
        chunks: How many.
        bytes_per_row: Of the messages.
    """

    per_s: float
    cpu_s: float
    chunks: int
    bytes_per_row: float


class Workload:
    """The chunks of a pipeline in the order in which trainers ask for them, from the first on.

    Args:
        dataset: Where the samples are.
        pipeline: What batches hold.

    Raises:
        InvalidPipeline: The filter names classes that the dataset does not have.
        EmptySplit: No sample passes split and filter.
    """

    def __init__(self, dataset: Dataset, pipeline: Pipeline):
        self._maker = BatchMaker(dataset, pipeline)
        image = tensor_specs(pipeline.render)[0]
        self._row_bytes = int(np.prod(image.row_shape))

    def position(self, number: int, compression: str) -> Position:
        """The first chunk of the step `number`, counted through all epochs; its rows depend on the compression."""
        epoch, step = divmod(number, self._maker.epoch_plan.steps_per_epoch)
        rows = Span(0, self._maker.epoch_plan.batch_rows(step))
        compressed = COMPRESSIONS[compression] != pb.COMPRESSION_NONE
        return Position(epoch, step, chunk_rows(rows, self._row_bytes, compressed)[0])

    def read(self, position: Position) -> int:
        """Order, columns and records."""
        indices = self._maker.epoch_plan.rows(*position)
        dataset = self._maker.dataset
        dataset.take("label", indices), dataset.take("key_id", indices), dataset.records(indices)
        return 0

    def draw(self, position: Position) -> int:
        """Reading, augmentation and drawing."""
        self._maker.chunk(*position, blank_rotten=True)
        return 0

    def message(self, compression: str) -> Task:
        """All that is done before a chunk is sent: reading, drawing, compression, checksum, framing."""
        number = COMPRESSIONS[compression]

        def task(position: Position) -> int:
            return sum(map(len, chunk_messages(self._maker, *position, number, blank_rotten=True)))

        return task

    def message_read_ahead(self, compression: str, read_ahead: ReadAhead) -> Task:
        """The same, with the records of a later chunk asked for first, as a server does."""
        make = self.message(compression)

        def task(position: Position) -> int:
            later = position.epoch * self._maker.epoch_plan.steps_per_epoch + position.step + _AHEAD
            read_ahead.ask(self._maker, *self.position(later, compression))
            return make(position)

        return task

    def rate(self, task: Task, compression: str, *, threads: int, seconds: float, numbers: Iterable[int]) -> Rate:
        """Does a task again and again.

        Args:
            task: With each chunk.
            compression: Decides how many rows a chunk has.
            threads: That work at a time.
            seconds: For how long; a chunk that is begun is done.
            numbers: Which chunks (`position`), as many as could be needed.
        """
        lock, following = threading.Lock(), iter(numbers)
        begun = time.perf_counter()

        def work() -> tuple[int, int, int, float]:
            rows = chunks = sent_bytes = 0
            cpu_begun = time.thread_time()
            while not chunks or time.perf_counter() - begun < seconds:
                with lock:
                    position = self.position(next(following), compression)
                sent_bytes += task(position)
                rows, chunks = rows + position.rows.size, chunks + 1
            return rows, chunks, sent_bytes, time.thread_time() - cpu_begun

        with ThreadPoolExecutor(threads) as pool:
            working = [pool.submit(work) for _ in range(threads)]
            done = [future.result(seconds + _CHUNK_S) for future in working]
        passed_s = time.perf_counter() - begun
        rows, chunks, sent_bytes, cpu_s = (sum(figures) for figures in zip(*done, strict=True))
        return Rate(rows / passed_s, cpu_s / rows, chunks, sent_bytes / rows)


def endless(chunks: int) -> Iterable[int]:
    """The first chunks, again and again."""
    return itertools.cycle(range(max(chunks, 1)))
