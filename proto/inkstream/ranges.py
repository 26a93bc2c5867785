"""Reads one range until it is whole: asks, checks, asks another server, asks only for what is missing."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from inkstream.channel import OpenCalls, Server
from inkstream.descriptions import RendererInfo, TensorSpec, renderer_info
from inkstream.errors import CorruptChunk, InkstreamError, RottenData, ServerMismatch
from inkstream.plan import Cell, Piece, Plan
from inkstream.servers import Attempts, by_preference
from inkstream.stats import StatsCounter
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import ChunkReader, WireChunk

logger = logging.getLogger("inkstream")


@dataclass(frozen=True)
class Run:
    """What all ranges of one stream have in common; arguments as in StreamBatchesRequest."""

    pipeline: pb.Pipeline
    digest: str
    fingerprint: str
    renderer: RendererInfo
    specs: Sequence[TensorSpec]
    plan: Plan
    compression: pb.Compression
    stream_id: int
    timeout_s: float

    def request(self, cell: Cell, missing: Sequence[Piece], rotten_record: pb.RottenRecord) -> pb.StreamBatchesRequest:
        """Asks for the first missing chunks of a cell: as many as one request can name."""
        first = missing[0]
        request = pb.StreamBatchesRequest(
            pipeline=self.pipeline,
            digest=self.digest,
            fingerprint=self.fingerprint,
            shard=pb.Shard(index=self.plan.shard[0], count=self.plan.shard[1]),
            epoch=cell.epoch,
            first_step=first.step,
            compression=self.compression,
            rotten_record=rotten_record,
            stream_id=self.stream_id,
        )
        if cell.chunks is None and first.chunk == 0:
            request.steps = cell.steps.stop - first.step
        else:
            request.steps = 1
            request.first_chunk = first.chunk
            request.chunks = sum(piece.step == first.step for piece in missing)
        return request


class RangeReader:
    """Reads ranges of one stream; several threads may use it.

    Args:
        run: What the ranges have in common.
        servers: Whom to ask.
        calls: Where calls are registered.
        stats: Where they are counted.
        place: Takes a chunk that arrived; raises CorruptChunk if it is not what was sent.
    """

    def __init__(
        self,
        run: Run,
        servers: Sequence[Server],
        calls: OpenCalls,
        stats: StatsCounter,
        place: Callable[[Cell, Piece, WireChunk], None],
    ):
        self._run = run
        self._servers = servers
        self._calls = calls
        self._stats = stats
        self._place = place
        self._verified: dict[Server, int] = {}  # servers that draw as the run does, by their outages so far
        self._mismatched: dict[Server, ServerMismatch] = {}

    def read(self, cell: Cell) -> None:
        """Reads a range until every chunk of it is in its place.

        Rows whose record is rotten on every server become blanks.

        Raises:
            InkstreamError: It cannot be had.
            Closed: It is no longer wanted.
        """
        missing = deque(self._run.plan.pieces(cell))
        try:
            self._read_from_any(cell, missing, pb.ROTTEN_RECORD_FAIL)
        except RottenData as error:
            logger.warning("%s; no server delivers these rows, asking for blanks instead", error)
            self._read_from_any(cell, missing, pb.ROTTEN_RECORD_BLANK)

    def _read_from_any(self, cell: Cell, missing: deque[Piece], rotten_record: pb.RottenRecord) -> None:
        # A stream that starts within a cell prefers the same server as those that ask for all of it.
        key = f"{self._run.digest} {self._run.plan.shard} {cell.epoch} {cell.steps.stop} {cell.chunks}"
        servers = [server for server in by_preference(self._servers, key) if server not in self._mismatched]
        if not servers:
            raise next(iter(self._mismatched.values()))
        attempts = Attempts(servers, self._run.timeout_s, self._calls.closed)
        while missing:
            server, call_s = attempts.next()
            try:
                self._verify(server, call_s)
                request = self._run.request(cell, missing, rotten_record)
                with closing(server.stream(request, self._calls, call_s)) as messages:
                    self._receive(messages, request, server, cell, missing, attempts)
            except InkstreamError as error:
                self._stats.failure(server.address)
                if isinstance(error, ServerMismatch) and server not in self._mismatched:
                    logger.warning("%s; this server is left out", error)
                    self._mismatched[server] = error
                attempts.failed(server, error)

    def _receive(
        self,
        messages: Iterator[bytes],
        request: pb.StreamBatchesRequest,
        server: Server,
        cell: Cell,
        missing: deque[Piece],
        attempts: Attempts,
    ) -> None:
        """Puts the chunks of one answer in their places."""
        coming = request.chunks or len(missing)
        reader, wire_bytes = ChunkReader(self._run.plan.largest_chunk_bytes), 0
        try:
            for message in messages:
                wire_bytes += len(message)
                chunk = reader.read(message)
                if chunk is None:
                    continue
                if not coming:
                    raise CorruptChunk("more chunks than were asked for")
                if chunk.blanks and request.rotten_record != pb.ROTTEN_RECORD_BLANK:
                    raise CorruptChunk("blank rows that were not asked for")
                self._place(cell, missing[0], chunk)
                missing.popleft()
                coming -= 1
                attempts.progressed()
                self._stats.chunk(server.address, chunk.rows, wire_bytes)
                wire_bytes = 0
                if chunk.blanks:
                    self._note_blanks(chunk)
            if coming:
                raise CorruptChunk(f"the range ended {coming} chunks early")
        except CorruptChunk as error:
            raise CorruptChunk(f"{server.address}: {error}") from error

    def _verify(self, server: Server, timeout_s: float) -> None:
        """Makes sure, after every outage anew, that a server draws as the run's does.

        Fingerprint and digest go with every request, and the server compares them. All datasets are asked for, since
        the run's may have lost its name meanwhile.

        Raises:
            ServerMismatch: It does not.
        """
        outages = server.outages
        if self._verified.get(server) == outages:
            return
        found = renderer_info(server.list_datasets(self._calls, timeout_s).renderer)
        if found != self._run.renderer:
            raise ServerMismatch(f"{server.address} draws with {found}, this run with {self._run.renderer}")
        self._verified[server] = outages

    def _note_blanks(self, chunk: WireChunk) -> None:
        self._stats.blanks(chunk.blanks)
        key_ids = ", ".join(map(str, chunk.blanks))
        logger.warning("epoch %d, step %d: rows left blank, their records are rotten: key ids %s", *chunk[:2], key_ids)
