"""Has the records of coming chunks read from the disk before a render thread needs them.

A range's chunks are known when it is asked for, and a client asks for several ranges ahead; so what the disk must bring
is asked for while earlier chunks are drawn.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from batch_server.batches import BatchMaker
from inkstream.chunking import Span

# Threads that ask. One asks for 80,000 records per second where each has to be read.
_THREADS = 2
# Chunks that wait to be asked for; those beyond are read when they are drawn.
_MOST_WAITING = 64


class ReadAhead:
    """Asks for records, in threads of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ahead")
        self._places = threading.BoundedSemaphore(_MOST_WAITING)

    def ask(self, maker: BatchMaker, epoch: int, step: int, rows: Span) -> None:
        """Asks for what a chunk needs, if its dataset does not fit into memory; never waits.

        Args:
            maker: Of the chunk.
            epoch: From 0.
            step: Within the epoch.
            rows: Of the global batch.
        """
        if not maker.dataset.file.fits_memory and self._places.acquire(blocking=False):
            with suppress(RuntimeError):  # stopped meanwhile
                self._pool.submit(self._ask, maker, epoch, step, rows)

    def stop(self) -> None:
        """Gives up what waits."""
        self._pool.shutdown(cancel_futures=True)

    def _ask(self, maker: BatchMaker, epoch: int, step: int, rows: Span) -> None:
        try:
            maker.ask_ahead(epoch, step, rows)
        finally:
            self._places.release()
