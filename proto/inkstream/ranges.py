"""Reads one range until it is whole: asks, checks, asks another server, asks only for what is missing."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property

from inkstream.attempts import WAKE_S, WHOLE_STREAM, Attempts
from inkstream.channel import Closed, OpenCalls, Server
from inkstream.chunk_reader import ChunkReader, ExpectedChunks
from inkstream.descriptions import RendererInfo, TensorSpec
from inkstream.errors import (
    CorruptChunk,
    EmptySplit,
    InkstreamError,
    InvalidPipeline,
    InvalidRequest,
    RottenData,
    ServerMismatch,
    ServersDisagree,
)
from inkstream.hedging import Lateness
from inkstream.open_range import Copy, OpenRange
from inkstream.plan import Cell, Piece, Plan
from inkstream.servers import ServerSet
from inkstream.stats import StatsCounter
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import Position, WireChunk

logger = logging.getLogger("inkstream")

# A server that refuses the whole stream is asked again after this long: it may have come back as another, or with the
# data.
REFUSED_S = 5.0


@dataclass(frozen=True)
class Run:
    """What all ranges of one stream have in common; arguments as in StreamBatchesRequest."""

    pipeline: pb.Pipeline
    digest: str
    fingerprint: str
    renderer: RendererInfo
    specs: tuple[TensorSpec, ...]
    plan: Plan
    compression: pb.Compression
    stream_id: int
    timeout_s: float

    @cached_property
    def request_start(self) -> bytes:
        """What is the same in the serialized requests for all ranges: to be followed by the fields of one."""
        return pb.StreamBatchesRequest(
            pipeline=self.pipeline,
            digest=self.digest,
            fingerprint=self.fingerprint,
            renderer=pb.Renderer(version=self.renderer.version, self_test_digest=self.renderer.self_test_digest),
            shard=pb.Shard(index=self.plan.shard[0], count=self.plan.shard[1]),
            compression=self.compression,
            stream_id=self.stream_id,
        ).SerializeToString()

    def request(self, cell: Cell, missing: list[Piece], blank: bool, demand: float | None) -> pb.StreamBatchesRequest:
        """Asks for the first missing chunks of a cell: as many as one request can name, or for one chunk with blanks.

        Args:
            cell: The range.
            missing: Its chunks that are not here, at least one.
            blank: Whether rows with rotten records may be blank.
            demand: Rows per second that could be taken from one server, where that is known.

        Returns:
            The fields that follow `request_start`.
        """
        first = missing[0]
        request = pb.StreamBatchesRequest(
            epoch=cell.epoch,
            first_step=first.step,
            rotten_record=pb.ROTTEN_RECORD_BLANK if blank else pb.ROTTEN_RECORD_FAIL,
            demand_rows_per_s=demand or 0.0,
        )
        if cell.chunks is None and first.chunk == 0 and not blank:
            request.steps = cell.steps.stop - first.step
        else:
            request.steps = 1
            request.first_chunk = first.chunk
            request.chunks = 1 if blank else sum(piece.step == first.step for piece in missing)
        return request


class RangeReader:
    """Reads ranges of one stream; several threads may use it.

    Args:
        run: What the ranges have in common.
        servers: Whom to ask.
        calls: Where calls are registered.
        stats: Where they are counted.
        demand: Rows per second that the trainer could take, where that is known.
        place: Takes a chunk that arrived; raises CorruptChunk if it is not what was sent.
        check: Raises CorruptChunk if a chunk is not what was sent, and does nothing with it.

    Attributes:
        lateness: After how long a range is late.
    """

    def __init__(
        self,
        run: Run,
        servers: ServerSet,
        calls: OpenCalls,
        stats: StatsCounter,
        demand: Callable[[], float | None],
        place: Callable[[Cell, Piece, WireChunk], None],
        check: Callable[[Cell, Piece, WireChunk], None],
    ):
        self.lateness = Lateness()
        self._run = run
        self._expected = ExpectedChunks(run.specs, run.compression)
        self._servers = servers
        self._calls = calls
        self._stats = stats
        self._demand = demand
        self._place = place
        self._check = check
        self._lock = threading.Lock()
        self._open: list[OpenRange] = []
        self._refusals: dict[Server, tuple[InkstreamError, float]] = {}  # of the whole stream, and until when
        self._told: set[str] = set()
        self._progress_at = time.monotonic()

    def open_ranges(self) -> list[OpenRange]:
        """Those that are being read now."""
        with self._lock:
            return list(self._open)

    def read(self, cell: Cell) -> None:
        """Reads a range until every chunk of it is in its place.

        Rows whose record is rotten on every server become blanks.

        Raises:
            InkstreamError: It cannot be had.
            Closed: It is no longer wanted.
        """
        # A stream that starts within a cell prefers the same server as those that ask for all of it.
        key = f"{self._run.digest} {self._run.plan.shard} {cell.epoch} {cell.steps.stop} {cell.chunks}"
        attempts = Attempts(self._servers, self._run.timeout_s, time.monotonic(), key)
        opened = OpenRange(cell, self._run.plan.pieces(cell), attempts)
        with self._lock:
            self._open.append(opened)
        self._stats.begun()
        try:
            self._read(opened)
        finally:
            opened.end()
            with self._lock:
                self._open.remove(opened)

    def another_server(self, opened: OpenRange, now: float, hedge: bool) -> Server | None:
        """Whom to ask for a second copy of a range, or instead of one that does not answer; see `Attempts.another`."""
        with opened.lock:
            return opened.attempts.another(now, self._refused(now), opened.busy(), hedge)

    def read_second(self, opened: OpenRange, server: Server) -> None:
        """Reads a second copy from a server until the range is whole or the server fails."""
        try:
            while not opened.whole:
                self._ask(opened, server, blank=False)
            opened.end()
        except Closed:
            return
        except ServersDisagree as error:
            opened.fail(error)
        except InkstreamError as error:
            try:
                self._failed(opened, server, error)
            except InkstreamError as final:
                logger.debug("the second copy of %s failed: %s", opened.cell, final)

    def _read(self, opened: OpenRange) -> None:
        blank: Piece | None = None  # the one that is rotten on every server
        while missing := opened.missing():
            if opened.failure is not None:
                raise opened.failure
            now = time.monotonic()
            try:
                with opened.lock:
                    opened.attempts.waited_from(self._progress_at)
                    server = opened.attempts.choose(now, self._refused(now), opened.busy())
            except RottenData as error:
                if blank == missing[0]:
                    raise
                logger.warning("%s; no server delivers these rows, asking for blanks instead", error)
                blank = missing[0]
                opened.hedged = True  # copies with blanks may differ
                opened.attempts.progressed(now)
                continue
            if server is None:
                if self._calls.closed.wait(WAKE_S):
                    raise Closed
                continue
            try:
                self._ask(opened, server, blank == missing[0])
            except Closed:
                if self._calls.closed.is_set():
                    raise
                with opened.lock:  # moved, unless the second copy has made the range whole
                    opened.attempts.left(server)
            except InkstreamError as error:
                self._failed(opened, server, error)

    def _ask(self, opened: OpenRange, server: Server, blank: bool) -> None:
        """Reads what one request brings."""
        now = time.monotonic()
        with opened.lock:
            call_s = opened.attempts.call_s(now)
            missing = opened.missing()
        if not missing:
            return  # another copy was faster
        request = self._run.request(opened.cell, missing, blank, self._demand())
        coming = deque(missing[: request.chunks or None])
        serialized = self._run.request_start + request.SerializeToString()  # fields may follow in any order
        with self._calls.started(OpenCalls) as calls, opened.reading(Copy(server, calls, now)):
            with closing(server.stream(serialized, calls, call_s)) as messages:
                try:
                    self._receive(messages, coming, opened, server, blank)
                except RottenData as error:
                    with opened.lock:
                        if coming and coming[0] not in opened.missing():
                            return  # another copy has brought it meanwhile; of what is missing nothing is known
                        opened.attempts.failed(server, error)
                    raise
        if missing == opened.pieces:
            self.lateness.took(time.monotonic() - now)

    def _receive(
        self, messages: Iterator[bytes], coming: deque[Piece], opened: OpenRange, server: Server, blank: bool
    ) -> None:
        """Puts the chunks of one answer in their places."""
        plan, epoch = self._run.plan, opened.cell.epoch
        reader, wire_bytes = ChunkReader(self._expected, plan.largest_chunk_bytes), 0
        before, wait_s = time.monotonic(), 0.0
        try:
            for message in messages:
                arrived = time.monotonic()
                wait_s += arrived - before
                before = arrived
                wire_bytes += len(message)
                if not coming:
                    raise CorruptChunk("more chunks than were asked for")
                step, _, rows = coming[0]
                chunk = reader.read(message, Position(epoch, step, rows.start, rows.size, plan.batch_rows(step)))
                if chunk is None:
                    continue
                if chunk.blanks and not blank:
                    raise CorruptChunk("blank rows that were not asked for")
                self._settle(opened, coming[0], chunk, server)
                coming.popleft()
                before = time.monotonic()
                self._stats.chunk(server.address, chunk.rows, wire_bytes, wait_s=wait_s, decode_s=before - arrived)
                wire_bytes, wait_s = 0, 0.0
            if coming:
                raise CorruptChunk(f"the range ended {len(coming)} chunks early")
        except CorruptChunk as error:
            raise CorruptChunk(f"{server.address}: {error}") from error

    def _settle(self, opened: OpenRange, piece: Piece, chunk: WireChunk, server: Server) -> None:
        """Takes a chunk, or compares it with the one that another server has sent.

        Raises:
            CorruptChunk: It is not what was sent.
            ServersDisagree: Both are what was sent, and they differ.
        """
        there = opened.settle(piece, chunk, server.address, lambda: self._place(opened.cell, piece, chunk))
        if there is None:
            now = time.monotonic()
            self._progress_at = now
            with opened.lock:
                opened.attempts.progressed(now)
            if chunk.blanks:
                self._note_blanks(chunk)
            return
        if chunk.checksum != there.checksum and not (chunk.blanks or there.blank):
            self._check(opened.cell, piece, chunk)
            where = f"rows {piece.rows.start} to {piece.rows.stop} of epoch {chunk.epoch}, step {chunk.step}"
            raise ServersDisagree(
                f"{there.address} and {server.address} send different {where}, each with a right checksum, "
                f"{there.checksum:016x} and {chunk.checksum:016x}: compare their versions of Inkstream, and verify "
                "their data with `batch-server inspect --verify`"
            )
        self._stats.duplicate()

    def _failed(self, opened: OpenRange, server: Server, error: InkstreamError) -> None:
        """Takes note of an attempt that failed; raises the error if there is no sense in another one."""
        self._stats.failure(server.address)
        if isinstance(error, InvalidPipeline | InvalidRequest | EmptySplit):
            error = ServerMismatch(f"{server.address} refuses what another server has resolved: {error}")
        if isinstance(error, WHOLE_STREAM):
            if str(error) not in self._told:
                logger.warning("%s; this server is left out", error)
                self._told.add(str(error))
            with self._lock:
                self._refusals[server] = error, time.monotonic() + REFUSED_S
        elif not isinstance(error, RottenData):  # of which note was taken when it was known which chunk is meant
            with opened.lock:
                opened.attempts.failed(server, error)

    def _refused(self, now: float) -> dict[Server, InkstreamError]:
        """The servers that refuse the whole stream, and why."""
        with self._lock:
            self._refusals = {server: why for server, why in self._refusals.items() if why[1] > now}
            return {server: error for server, (error, _) in self._refusals.items()}

    def _note_blanks(self, chunk: WireChunk) -> None:
        self._stats.blanks(chunk.blanks)
        key_ids = ", ".join(map(str, chunk.blanks))
        logger.warning("epoch %d, step %d: rows left blank, their records are rotten: key ids %s", *chunk[:2], key_ids)
