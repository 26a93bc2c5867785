"""A stream of batches: an iterator that can be closed, and continued anywhere."""

import os
import weakref
from collections.abc import Iterator
from types import TracebackType

from inkstream.batch import Batch
from inkstream.errors import ForkedClient, InvalidRequest
from inkstream.prefetch import Prefetcher
from inkstream.stats import StreamStats

# Closing waits this long for calls that it has cancelled; they end within milliseconds.
_CLOSE_TIMEOUT_S = 10.0


class Stream(Iterator[Batch]):
    """The batches of a pipeline in order, read ahead in the background; from `Client.stream`.

    Iterating may raise any error of `inkstream.errors`; the stream is then over, and another one with `start` set to
    the cursor of the last batch goes on. Close it, or use it in a `with` statement.
    """

    def __init__(self, prefetcher: Prefetcher, owner: object):
        self._prefetcher = prefetcher
        self._owner = owner  # keeps the channels open
        self._pid = os.getpid()
        self._closed = False
        # Reader threads know the prefetcher, not this object: so a stream that nobody closed ends when it is forgotten.
        weakref.finalize(self, _stop_in, self._pid, prefetcher)
        prefetcher.start()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Batch:
        check_process(self._pid)
        batch = None if self._closed else self._prefetcher.next_batch()
        if self._closed:  # perhaps by another thread while this one waited: a loop must not take that for the end
            raise InvalidRequest("the stream is closed: open another one with start= set to the last batch's cursor")
        if batch is None:
            raise StopIteration
        return batch

    def stats(self) -> StreamStats:
        """What the stream has done so far."""
        check_process(self._pid)  # a thread that does not exist here may have held the lock of the counts
        return self._prefetcher.stats()

    def close(self) -> None:
        """Cancels what is under way and waits until every thread of the stream has ended."""
        self._closed = True
        if os.getpid() == self._pid:
            self._prefetcher.stop()
            self._prefetcher.join(_CLOSE_TIMEOUT_S)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def check_process(pid: int) -> None:
    """Refuses to go on in a forked child: threads and connections do not survive a fork.

    Raises:
        ForkedClient: This is not the process `pid`.
    """
    if os.getpid() != pid:
        raise ForkedClient(
            f"this client was made in process {pid} and is used in process {os.getpid()}, forked from it: connect in "
            "each process, or start processes by spawn"
        )


def _stop_in(pid: int, prefetcher: Prefetcher) -> None:
    if os.getpid() == pid:
        prefetcher.stop()
