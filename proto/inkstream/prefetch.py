"""Keeps ranges of a stream under way, within a budget, and hands out batches in order."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from inkstream.batch import Assembly, Batch
from inkstream.budget import Budget
from inkstream.channel import Closed, OpenCalls, Server
from inkstream.chunking import RANGE_BYTES, Span
from inkstream.demand import Demand
from inkstream.memory import Recycler
from inkstream.open_range import OpenRange
from inkstream.plan import Cell, Cursor, Piece
from inkstream.ranges import RangeReader, Run
from inkstream.servers import ServerSet
from inkstream.stats import StatsCounter, StreamStats
from inkstream.watch import Watch
from inkstream.wire import WireChunk

# Ranges under way, at least: enough that one is drawn, one travels, one is decoded and one is waited for. With more
# servers there are more, so that each has something to do, up to what Python threads can decode.
READERS = 4
_READERS_PER_SERVER = 2
_MOST_READERS = 16
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

    def __init__(self, run: Run, servers: ServerSet, start: Cursor, epochs: int | None, budget_bytes: int):
        self._stats = StatsCounter(server.address for server in servers.current())
        self._servers = servers
        self._demand = Demand()
        self._run = run
        self._plan = run.plan
        self._epochs = epochs
        self._calls = OpenCalls()
        self._reader = RangeReader(
            run, servers, self._calls, self._stats, self._demand_per_server, self._place, self._check
        )
        self._watch = Watch(servers, self._reader, self._stats, self._read_second, self._keep_up)
        # Guards everything below; it is reentrant, because the garbage collector may close this very stream while it is
        # held. The caller and the readers wait for other things, and each wake costs as much as decoding a drawing.
        self._lock = threading.RLock()
        self._ready = threading.Condition(self._lock)  # the batch that is wanted next, or the end
        self._room = threading.Condition(self._lock)  # memory for the next cell, or the end
        self._next = start
        self._cells = run.plan.cells(start, epochs)
        self._budget = Budget(budget_bytes, run.plan.least_budget_bytes, run.plan.most_message_bytes)
        self._recycler = Recycler(kept=_KEPT_BYTES // run.plan.batch_bytes(0))
        self._assemblies: dict[Cursor, Assembly] = {}
        self._failure: tuple[Cursor, BaseException] | None = None  # the first batch that cannot be had, and why
        self._claimable: tuple[Cell, int] | None  # the next cell to ask for, and the memory that it needs
        self._readers = 0
        self._threads: set[threading.Thread] = set()
        self._advance()

    def start(self) -> None:
        """Begins to read ahead."""
        self._keep_up(len(self._servers.current()))  # from now on the watch calls it
        self._run_thread("inkstream-watch", lambda: self._watch.run(self._calls))

    def next_batch(self) -> Batch | None:
        """The next batch, once it is whole; None at the end or when stopped.

        Raises:
            InkstreamError: It cannot be had.
        """
        asked = time.monotonic()
        with self._lock:
            while (assembly := self._whole(self._next)) is None:
                if self._failure is not None and self._failure[0] <= self._next:
                    self._calls.cancel()
                    raise self._failure[1]
                if self._calls.closed.is_set() or (self._epochs is not None and self._next.epoch >= self._epochs):
                    return None
                self._ready.wait(_WAKE_S)
            del self._assemblies[self._next]
            self._budget.give_back(self._plan.batch_bytes(self._next.step))
            self._next = self._plan.after(self._next)
            self._room.notify_all()
            self._ready.notify_all()  # should several threads take batches
            batch = assembly.finish(self._next)
        now = time.monotonic()
        self._stats.batch(batch.rows.size, now - asked)
        self._demand.delivered(now, batch.rows.size, now - asked)
        return batch

    def stats(self) -> StreamStats:
        """What was done so far, and how many batches are ready."""
        ready = 0
        with self._lock:
            position = self._next
            while self._whole(position) is not None:
                ready, position = ready + 1, self._plan.after(position)
        return replace(self._stats.snapshot(), ready_batches=ready)

    def stop(self) -> None:
        """Cancels calls and lets the readers end, without waiting for them."""
        self._calls.cancel()
        with self._lock:
            self._wake_all()

    def join(self, timeout_s: float) -> None:
        """Waits until every thread has ended."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run_thread(self, name: str, work: Callable[[], None]) -> None:
        """Starts a thread unless the stream is closed."""

        def run() -> None:
            try:
                work()
            except Closed:
                pass
            except BaseException as error:  # raised again where the next batch is awaited
                self._fail(Cursor(0, 0), error)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        with self._lock:
            if not self._calls.closed.is_set():
                self._threads.add(thread)
                thread.start()

    def _keep_up(self, servers: int) -> None:
        """Starts the readers that so many servers can feed."""
        wanted = min(_MOST_READERS, max(READERS, _READERS_PER_SERVER * servers))
        while self._readers < wanted:
            self._run_thread(f"inkstream-reader-{self._readers}", self._work)
            self._readers += 1

    def _work(self) -> None:
        while (cell := self._claim()) is not None:
            try:
                self._reader.read(cell)
            except Closed:
                return
            except BaseException as error:  # raised again where the batch is awaited
                self._fail(Cursor(cell.epoch, cell.steps.start), error)
                return
            self._give_back(cell)

    def _read_second(self, opened: OpenRange, server: Server) -> bool:
        """Reads a second copy of a range on a thread of its own, if there is memory for its messages."""
        with self._lock:
            if not self._budget.take(self._plan.message_bytes(opened.cell), second=True):
                return False

        def read() -> None:
            try:
                self._reader.read_second(opened, server)
            finally:
                self._give_back(opened.cell)

        self._run_thread("inkstream-hedge", read)
        return True

    def _give_back(self, cell: Cell) -> None:
        """Returns the memory of a cell's messages."""
        with self._lock:
            self._budget.give_back(self._plan.message_bytes(cell))
            self._room.notify_all()

    def _demand_per_server(self) -> float | None:
        """Rows per second that the caller could take from each of the servers in use."""
        now = time.monotonic()
        rows_per_s = self._demand.rows_per_s()
        in_use = sum(server.health.usable(now) for server in self._servers.current())
        return rows_per_s / in_use if rows_per_s is not None and in_use else None

    def _fail(self, position: Cursor, error: BaseException) -> None:
        """Ends the stream at a position; the cells before it, which were claimed before it, are still read."""
        with self._lock:
            if self._failure is None or position < self._failure[0]:
                self._failure = position, error
            self._claimable = None
            self._wake_all()

    def _wake_all(self) -> None:
        self._ready.notify_all()
        self._room.notify_all()

    def _claim(self) -> Cell | None:
        """The next cell, once its memory is reserved; None at the end or when stopped."""
        with self._lock:
            while not self._calls.closed.is_set() and self._claimable is not None:
                cell, size_bytes = self._claimable
                if self._budget.take(size_bytes):
                    self._open(cell)
                    self._advance()
                    return cell
                self._room.wait(_WAKE_S)
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
            self._assemblies[position] = self._assembly(position, self._plan.shard_rows(step))
        self._wake_if_ready()  # a batch without rows is whole

    def _assembly(self, position: Cursor, rows: Span) -> Assembly:
        """Room for some rows of a batch."""
        batch_rows = self._plan.batch_rows(position.step)
        return Assembly(self._run.specs, position, rows, batch_rows, self._run.compression, self._recycler)

    def _place(self, cell: Cell, piece: Piece, chunk: WireChunk) -> None:
        """Decodes a chunk into its place."""
        with self._lock:
            assembly = self._assemblies[Cursor(cell.epoch, piece.step)]
            assembly.make_room()
        assembly.place(chunk, piece)
        with self._lock:
            assembly.missing_rows -= piece.rows.size
            self._wake_if_ready()

    def _check(self, cell: Cell, piece: Piece, chunk: WireChunk) -> None:
        """Decodes a chunk that is here already, and forgets it."""
        assembly = self._assembly(Cursor(cell.epoch, piece.step), piece.rows)
        assembly.make_room()
        assembly.place(chunk, piece)

    def _whole(self, position: Cursor) -> Assembly | None:
        """The batch at a position if no row of it is missing."""
        assembly = self._assemblies.get(position)
        return assembly if assembly is not None and not assembly.missing_rows else None

    def _wake_if_ready(self) -> None:
        """Wakes who waits for the next batch, once it is whole."""
        if self._whole(self._next) is not None:
            self._ready.notify_all()
