"""Has the records of coming chunks read from the disk before a render thread needs them.

A range's chunks are known when it is asked for, and a client asks for several ranges ahead; so what the disk must bring
is asked for while earlier chunks are drawn. Where everything is in memory already, nothing is asked.
"""

import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from batch_server.batches import BatchMaker
from inkstream.chunking import Span

# Threads that ask. One asks for 80,000 records per second where each has to be read.
_THREADS = 2
# Chunks that wait to be asked for; those beyond are read when they are drawn.
_MOST_WAITING = 64
# Reading more than so much in so long means that the disk is needed. It may end within the next such time.
_LOOK_EVERY_S = 0.5
_MANY_BYTES = 1 << 20
_BLOCK_BYTES = 512  # of which the system counts


class DiskReads:
    """Whether this process reads from the disk, by the system's own count of blocks.

    Args:
        clock: Seconds, monotonic.
        read_bytes: That were read so far.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        read_bytes: Callable[[], int] = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_inblock * _BLOCK_BYTES,
    ):
        self._clock, self._read_bytes = clock, read_bytes
        self._looked_s, self._seen_bytes = clock(), read_bytes()
        self._busy = False

    def lately(self) -> bool:
        """Whether it has, in the last second or so. Threads may ask at a time: a look too many does no harm."""
        now_s = self._clock()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            seen_bytes = self._read_bytes()
            self._busy = seen_bytes - self._seen_bytes >= _MANY_BYTES
            self._looked_s, self._seen_bytes = now_s, seen_bytes
        return self._busy


class ReadAhead:
    """Asks for records, in threads of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ahead")
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        self._disk = DiskReads()

    def ask(self, maker: BatchMaker, epoch: int, step: int, rows: Span) -> None:
        """Asks for what a chunk needs, if it may have to be read; never waits.

        Args:
            maker: Of the chunk.
            epoch: From 0.
            step: Within the epoch.
            rows: Of the global batch.
        """
        needed = not maker.dataset.file.fits_memory or self._disk.lately()
        if needed and self._places.acquire(blocking=False):
            self._pool.submit(self._ask, maker, epoch, step, rows)

    def stop(self) -> None:
        """Gives up what waits."""
        self._pool.shutdown(cancel_futures=True)

    def _ask(self, maker: BatchMaker, epoch: int, step: int, rows: Span) -> None:
        try:
            maker.dataset.ask_ahead(maker.epoch_plan.rows(epoch, step, rows))
        finally:
            self._places.release()
