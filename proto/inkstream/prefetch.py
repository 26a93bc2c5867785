"""Keeps ranges of a stream under way, within a budget, and hands out batches in order."""

import threading
import time
from collections.abc import Sequence

from inkstream.batch import Assembly, Batch
from inkstream.budget import Budget
from inkstream.channel import Closed, OpenCalls, Server
from inkstream.chunking import RANGE_BYTES
from inkstream.memory import Recycler
from inkstream.plan import Cell, Cursor, Piece
from inkstream.ranges import RangeReader, Run
from inkstream.stats import StatsCounter
from inkstream.wire import WireChunk

# Ranges under way: enough that one is drawn, one travels, one is decoded and one is waited for.
READERS = 4
# Memory of batches that the caller has let go, kept for the next ones: what the readers fill at once.
_KEPT_BYTES = READERS * RANGE_BYTES
# A wait on the main thread wakes up this often, so that Ctrl-C ends it on every system.
_WAKE_S = 0.5


class Prefetcher:
    """Reads ahead on threads of its own.

    A reader takes the next cell of the grid only when the memory of the whole cell is reserved, cells in order: so the
    batch that is wanted next is never short of memory, and whatever a server sends has its place.

    Args:
        run: What to read.
        servers: Whom to ask.
        start: The first batch.
        epochs: The epoch at which to end; None for never.
        budget_bytes: Memory of batches that are not delivered yet, and of messages under way.

    Raises:
        InvalidRequest: The budget cannot hold one batch and the range it comes in.
    """

    def __init__(self, run: Run, servers: Sequence[Server], start: Cursor, epochs: int | None, budget_bytes: int):
        self.stats = StatsCounter(server.address for server in servers)
        self._run = run
        self._plan = run.plan
        self._epochs = epochs
        self._calls = OpenCalls()
        self._reader = RangeReader(run, servers, self._calls, self.stats, self._place)
        # The lock of this condition guards everything below; it is reentrant, because the garbage collector may close
        # this very stream while it is held.
        self._changed = threading.Condition(threading.RLock())
        self._next = start
        self._cells = run.plan.cells(start, epochs)
        self._budget = Budget(budget_bytes, run.plan.least_budget_bytes)
        self._recycler = Recycler(kept=_KEPT_BYTES // run.plan.batch_bytes(0))
        self._assemblies: dict[Cursor, Assembly] = {}
        self._failure: tuple[Cursor, BaseException] | None = None  # the first batch that cannot be had, and why
        self._claimable: tuple[Cell, int] | None  # the next cell to ask for, and the memory that it needs
        self._advance()
        self._threads = [
            threading.Thread(target=self._work, name=f"inkstream-reader-{index}", daemon=True)
            for index in range(READERS)
        ]

    def start(self) -> None:
        """Begins to read ahead."""
        for thread in self._threads:
            thread.start()

    def next_batch(self) -> Batch | None:
        """The next batch, once it is whole; None at the end or when stopped.

        Raises:
            InkstreamError: It cannot be had.
        """
        asked = time.perf_counter()
        with self._changed:
            while (assembly := self._assemblies.get(self._next)) is None or assembly.missing_rows:
                if self._failure is not None and self._failure[0] <= self._next:
                    self._calls.cancel()
                    raise self._failure[1]
                if self._calls.closed.is_set() or (self._epochs is not None and self._next.epoch >= self._epochs):
                    return None
                self._changed.wait(_WAKE_S)
            del self._assemblies[self._next]
            self._budget.give_back(self._plan.batch_bytes(self._next.step))
            self._next = self._plan.after(self._next)
            self._changed.notify_all()
            batch = assembly.finish(self._next)
        self.stats.batch(batch.rows.size, time.perf_counter() - asked)
        return batch

    def stop(self) -> None:
        """Cancels calls and lets the readers end, without waiting for them."""
        self._calls.cancel()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Waits until the readers have ended."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (cell := self._claim()) is not None:
            try:
                self._reader.read(cell)
            except Closed:
                return
            except BaseException as error:  # raised again where the batch is awaited
                self._fail(cell, error)
                return
            with self._changed:
                self._budget.give_back(self._plan.message_bytes(cell))
                self._changed.notify_all()

    def _fail(self, cell: Cell, error: BaseException) -> None:
        """Ends the stream at a cell; the cells before it, which were claimed before it, are still read."""
        position = Cursor(cell.epoch, cell.steps.start)
        with self._changed:
            if self._failure is None or position < self._failure[0]:
                self._failure = position, error
            self._claimable = None
            self._changed.notify_all()

    def _claim(self) -> Cell | None:
        """The next cell, once its memory is reserved; None at the end or when stopped."""
        with self._changed:
            while not self._calls.closed.is_set() and self._claimable is not None:
                cell, size_bytes = self._claimable
                if self._budget.take(size_bytes):
                    self._open(cell)
                    self._advance()
                    return cell
                self._changed.wait(_WAKE_S)
        return None

    def _advance(self) -> None:
        cell = next(self._cells, None)
        if cell is not None:
            self._claimable = cell, self._plan.opened_bytes(cell) + self._plan.message_bytes(cell)
        else:
            self._claimable = None

    def _open(self, cell: Cell) -> None:
        if cell.chunks is not None and cell.chunks.start > 0:
            return  # the cell with the step's first chunks has done it
        for step in range(*cell.steps):
            position = Cursor(cell.epoch, step)
            self._assemblies[position] = Assembly(
                self._run.specs,
                position,
                self._plan.shard_rows(step),
                self._plan.batch_rows(step),
                self._run.compression,
                self._recycler,
            )
        self._changed.notify_all()

    def _place(self, cell: Cell, piece: Piece, chunk: WireChunk) -> None:
        """Puts a chunk in its place. One that is there already, or was delivered, is dropped."""
        with self._changed:
            assembly = self._assemblies.get(Cursor(cell.epoch, piece.step))
            if assembly is None or piece.rows.start in assembly.placed:
                return
        assembly.place(chunk, piece)
        with self._changed:
            assembly.placed.add(piece.rows.start)
            assembly.missing_rows -= piece.rows.size
            if not assembly.missing_rows:
                self._changed.notify_all()
