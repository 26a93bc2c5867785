"""What the server does, for whom, and who waits for whom: counted as it happens, read by the metrics port.

Nothing here decides anything: a server without a metrics port counts as well, and answers the same.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from batch_server.serving.demand import KEEP_DEMAND_S, MAX_STREAMS, DemandReport, DemandTable
from batch_server.serving.recent import DecayingSum, Recent, faded_s
from inkstream.chunking import Span
from inkstream.pipeline import Pipeline


class WaitingFor(StrEnum):
    """What a stream waits for."""

    NOTHING = "nothing"  # it is at work itself
    CLIENT = "client"  # to take what is ready: the server waits for the client, or for the network
    DRAWING = "drawing"  # of its next chunk, here or for another stream: the client waits for render threads
    MEMORY = "memory"  # that other streams hold: the client waits for them


@dataclass
class DatasetCounts:
    """Of one dataset, since the server started.

    Attributes:
        ranges: Sent whole.
        batches: Sent whole, or the whole of a shard's rows of one.
        chunks: Sent.
        rows: In those chunks.
        sent_bytes: Of messages handed to the network.
        drawn_chunks: Drawn; others came from the cache.
        drawn_rows: In those chunks.
        render_s: For which render threads were busy.
        stream_s: For which streams were open, by what they waited for.
    """

    ranges: int = 0
    batches: int = 0
    chunks: int = 0
    rows: int = 0
    sent_bytes: int = 0
    drawn_chunks: int = 0
    drawn_rows: int = 0
    render_s: float = 0.0
    stream_s: dict[WaitingFor, float] = field(default_factory=lambda: dict.fromkeys(WaitingFor, 0.0))


class SentRows(NamedTuple):
    """Rows of a batch that were sent: what is needed to draw them again."""

    pipeline: Pipeline
    fingerprint: str
    epoch: int
    step: int
    rows: Span


class RangeOf(NamedTuple):
    """Whose range it is.

    Attributes:
        peer: gRPC's name of the client's address.
        stream_id: 0 where the client does not say.
        dataset: Name of the file that it is answered from. Not what the client wrote: it cannot invent names.
        digest: Of the batches.
        about: What the batches are, for people.
        shard: Index and count.
        demand_rows_per_s: That the trainer could take from this server; 0 where it does not say.
    """

    peer: str
    stream_id: int
    dataset: str
    digest: str
    about: str
    shard: tuple[int, int]
    demand_rows_per_s: float


class StreamReport(NamedTuple):
    """One client's stream as it was lately.

    Attributes:
        whose: Its last range.
        open_ranges: At this moment.
        rows_per_s: Sent lately.
        bytes_per_s: Sent lately.
        waits: Shares of the time, by what the stream waited for; where it asked for nothing, for the client.
    """

    whose: RangeOf
    open_ranges: int
    rows_per_s: float
    bytes_per_s: float
    waits: dict[WaitingFor, float]


class _Stream:
    """What is known of one client's stream: many ranges, several at a time."""

    def __init__(self, whose: RangeOf, now: float):
        self.whose, self._begun = whose, now
        self._rows, self._sent_bytes = DecayingSum(now), DecayingSum(now)
        self._waits = {what: DecayingSum(now) for what in WaitingFor}

    def waited(self, what: WaitingFor, seconds: float, now: float) -> None:
        self._waits[what].add(faded_s(seconds), now)

    def sent(self, rows: int, sent_bytes: int, now: float) -> None:
        self._rows.add(rows, now)
        self._sent_bytes.add(sent_bytes, now)

    def report(self, open_ranges: int, now: float) -> StreamReport:
        passed_s = faded_s(max(now - self._begun, 1.0))
        waits = {what: waited.value(now) for what, waited in self._waits.items()}
        open_s = sum(waits.values())
        waits[WaitingFor.CLIENT] += max(passed_s - open_s, 0.0)
        return StreamReport(
            self.whose,
            open_ranges,
            self._rows.value(now) / passed_s,
            self._sent_bytes.value(now) / passed_s,
            {what: waited / max(open_s, passed_s) for what, waited in waits.items()},
        )


class RangeMeter:
    """Counts for one range; its handler's thread uses it, others may look."""

    def __init__(self, activity: "Activity", whose: RangeOf, stream: _Stream, now: float):
        self._activity, self.whose, self.stream = activity, whose, stream
        self.waits_for, self.since = WaitingFor.NOTHING, now

    @contextmanager
    def waiting(self, what: WaitingFor) -> Iterator[None]:
        """Around a wait."""
        self._activity._turn(self, what)
        try:
            yield
        finally:
            self._activity._turn(self, WaitingFor.NOTHING)

    def drawing(self, rows: int, make: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
        """Makes a chunk and counts what that costs; for a render thread, and perhaps after the range has ended."""

        def measured() -> list[bytes]:
            begun = time.perf_counter()
            drawn_rows = 0
            try:
                messages = make()
                drawn_rows = rows
                return messages
            finally:
                self._activity._drawn(self.whose, drawn_rows, time.perf_counter() - begun)

        return measured

    def sent(self, message: bytes) -> None:
        """A message was handed to the network."""
        self._activity._sent(self, len(message))

    def sent_chunk(self, chunk: SentRows, *, ends_batch: bool) -> None:
        """The last message of a chunk was sent.

        Args:
            chunk: Its rows.
            ends_batch: Whether it is the last one of its shard's rows of a batch.
        """
        self._activity._sent_chunk(self, chunk, ends_batch)

    def sent_range(self) -> None:
        """The last chunk was sent."""
        self._activity._sent_range(self)


class Activity:
    """Counts for the whole server; any thread may count and look.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._datasets: dict[str, DatasetCounts] = {}
        self._latest: dict[str, SentRows] = {}
        self._failures: dict[str, int] = {}
        self._open: set[RangeMeter] = set()
        self._streams: Recent[tuple[int, str], _Stream] = Recent(KEEP_DEMAND_S, MAX_STREAMS, clock)
        self._demand = DemandTable(clock)
        self._begun = clock()
        self._render_s = DecayingSum(self._begun)

    @contextmanager
    def range(self, whose: RangeOf) -> Iterator[RangeMeter]:
        """Around the answer to a range that was found to make sense."""
        with self._lock:
            now = self._clock()
            self._demand.asked(whose.stream_id, whose.digest, whose.demand_rows_per_s)
            stream = self._streams.touch(_key(whose), lambda: _Stream(whose, now))
            stream.whose = whose
            meter = RangeMeter(self, whose, stream, now)
            self._open.add(meter)
        try:
            yield meter
        finally:
            with self._lock:
                self._settle(meter)
                self._open.discard(meter)

    def failed(self, reason: str) -> None:
        """A call ended with an error.

        Args:
            reason: One of the contract's.
        """
        with self._lock:
            self._failures[reason] = self._failures.get(reason, 0) + 1

    def datasets(self) -> dict[str, DatasetCounts]:
        """The counts of now, by dataset; of those that no range has asked for there are none."""
        with self._lock:
            for meter in self._open:
                self._settle(meter)
            return {name: replace(counts, stream_s=dict(counts.stream_s)) for name, counts in self._datasets.items()}

    def latest(self) -> dict[str, SentRows]:
        """What was sent last of each dataset."""
        with self._lock:
            return dict(self._latest)

    def failures(self) -> dict[str, int]:
        """Calls that ended with an error, by reason."""
        with self._lock:
            return dict(self._failures)

    def streams(self) -> list[StreamReport]:
        """Those that have asked lately or have a range open, the one that asked last at the end."""
        with self._lock:
            open_ranges: dict[_Stream, int] = {}
            for meter in self._open:
                self._settle(meter)
                self._streams.put(_key(meter.whose), meter.stream)
                open_ranges[meter.stream] = open_ranges.get(meter.stream, 0) + 1
            now = self._clock()
            return [stream.report(open_ranges.get(stream, 0), now) for _, stream in self._streams.items()]

    def demand(self) -> DemandReport:
        """What all streams want from this server."""
        with self._lock:
            return self._demand.report()

    def busy_threads(self) -> float:
        """How many render threads were busy lately, on average."""
        with self._lock:
            now = self._clock()
            return self._render_s.value(now) / faded_s(max(now - self._begun, 1.0))

    def _turn(self, meter: RangeMeter, what: WaitingFor) -> None:
        with self._lock:
            self._settle(meter)
            meter.waits_for = what

    def _settle(self, meter: RangeMeter) -> None:
        """Counts the time since the last look for what the range waits for."""
        now = self._clock()
        waited_s = now - meter.since
        meter.since = now
        self._dataset(meter.whose).stream_s[meter.waits_for] += waited_s
        meter.stream.waited(meter.waits_for, waited_s, now)

    def _drawn(self, whose: RangeOf, rows: int, thread_s: float) -> None:
        with self._lock:
            counts = self._dataset(whose)
            counts.drawn_chunks += rows > 0  # a chunk that failed has cost time as well
            counts.drawn_rows += rows
            counts.render_s += thread_s
            self._demand.drawn(whose.digest, thread_s)
            self._render_s.add(thread_s, self._clock())

    def _sent(self, meter: RangeMeter, sent_bytes: int) -> None:
        with self._lock:
            self._dataset(meter.whose).sent_bytes += sent_bytes
            meter.stream.sent(0, sent_bytes, self._clock())

    def _sent_chunk(self, meter: RangeMeter, chunk: SentRows, ends_batch: bool) -> None:
        rows = chunk.rows.size
        with self._lock:
            counts = self._dataset(meter.whose)
            counts.chunks += 1
            counts.rows += rows
            counts.batches += ends_batch
            self._demand.delivered(meter.whose.digest, rows)
            meter.stream.sent(rows, 0, self._clock())
            self._latest[meter.whose.dataset] = chunk

    def _sent_range(self, meter: RangeMeter) -> None:
        with self._lock:
            self._dataset(meter.whose).ranges += 1

    def _dataset(self, whose: RangeOf) -> DatasetCounts:
        return self._datasets.setdefault(whose.dataset, DatasetCounts())


def _key(whose: RangeOf) -> tuple[int, str]:
    """One stream's; where the client does not name it, all ranges of its connection count as one."""
    return (whose.stream_id, "") if whose.stream_id else (0, whose.peer)
