"""What the server does, for whom, and who waits for whom: counted as it happens, read by the metrics port.

Nothing here decides anything: a server without a metrics port counts as well, and answers the same.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from batch_server.serving.demand import KEEP_DEMAND_S, DemandReport, DemandTable
from batch_server.serving.figures import DatasetCounts, RangeOf, SentRows, StreamFigures, StreamReport, WaitingFor
from batch_server.serving.recent import DecayingSum, Recent, faded_s

# Streams whose waits are kept for the status page; looking at all of them takes a millisecond.
_MAX_STREAMS = 256
# How often an open range adds to the sums in which the past fades. To do it with each message took a quarter of what a
# range from the cache costs outside gRPC, and this is soon enough for sums in which 15 s count half.
_SETTLE_S = 1.0


class Activity:
    """Counts for the whole server; any thread may count and look.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.lock = threading.Lock()  # around all that is counted, by meters too
        self.demands = DemandTable(clock)
        self.render_s = DecayingSum(clock())
        self.latest_rows: dict[str, SentRows] = {}
        self._begun = clock()
        self._datasets: dict[str, DatasetCounts] = {}
        self._failures: dict[str, int] = {}
        self._open: set[RangeMeter] = set()
        self._streams: Recent[tuple[int, str], StreamFigures] = Recent(KEEP_DEMAND_S, _MAX_STREAMS, clock)

    @contextmanager
    def range(self, whose: RangeOf) -> Iterator["RangeMeter"]:
        """Around the answer to a range that was found to make sense."""
        with self.lock:
            self.demands.asked(whose.stream_id, whose.digest, whose.demand_rows_per_s)
            stream = self._streams.touch(_key(whose), lambda: StreamFigures(whose, self.clock()))
            stream.whose = whose
            if whose.dataset not in self._datasets:
                self._datasets[whose.dataset] = DatasetCounts()
            meter = RangeMeter(self, whose, self._datasets[whose.dataset], stream)
            self._open.add(meter)
        try:
            yield meter
        finally:
            with self.lock:
                meter.settle()
                self._open.discard(meter)

    def failed(self, reason: str) -> None:
        """A call ended with an error.

        Args:
            reason: One of the contract's.
        """
        with self.lock:
            self._failures[reason] = self._failures.get(reason, 0) + 1

    def datasets(self) -> dict[str, DatasetCounts]:
        """The counts of now, by dataset; of those that no range has asked for there are none."""
        with self.lock:
            self._settle()
            return {name: replace(counts, stream_s=dict(counts.stream_s)) for name, counts in self._datasets.items()}

    def latest(self) -> dict[str, SentRows]:
        """What was sent last of each dataset."""
        with self.lock:
            return dict(self.latest_rows)

    def failures(self) -> dict[str, int]:
        """Calls that ended with an error, by reason."""
        with self.lock:
            return dict(self._failures)

    def streams(self) -> list[StreamReport]:
        """Those that have asked lately or have a range open, the one that asked last at the end; 256 at most."""
        with self.lock:
            open_ranges: dict[StreamFigures, int] = {}
            for meter in self._open:
                meter.settle()
                self._streams.put(_key(meter.whose), meter.stream)
                open_ranges[meter.stream] = open_ranges.get(meter.stream, 0) + 1
            now = self.clock()
            return [stream.report(open_ranges.get(stream, 0), now) for _, stream in self._streams.items()]

    def demand(self) -> DemandReport:
        """What all streams want from this server."""
        with self.lock:
            self._settle()
            return self.demands.report()

    def busy_threads(self) -> float:
        """How many render threads were busy lately, on average."""
        with self.lock:
            now = self.clock()
            return self.render_s.value(now) / faded_s(max(now - self._begun, 1.0))

    def _settle(self) -> None:
        for meter in self._open:
            meter.settle()


class RangeMeter:
    """Counts for one range; its handler's thread uses it, others may look.

    Args:
        activity: Where it counts, whose lock is held meanwhile.
        whose: The range.
        counts: Of its dataset.
        stream: That it belongs to.
    """

    def __init__(self, activity: Activity, whose: RangeOf, counts: DatasetCounts, stream: StreamFigures):
        self.whose, self.stream = whose, stream
        self._activity, self._counts = activity, counts
        self._waits_for, self._since = WaitingFor.NOTHING, activity.clock()
        # What fading sums do not hold yet, and since when.
        self._rows = self._sent_bytes = 0
        self._waited_s = dict.fromkeys(WaitingFor, 0.0)
        self._settled = self._since

    def turn(self, what: WaitingFor) -> None:
        """From now on the range waits for this."""
        with self._activity.lock:
            self._count_time()
            self._waits_for = what
            if self._since - self._settled > _SETTLE_S:
                self.settle()

    def settle(self) -> None:
        """Counts what is new; the caller holds the lock."""
        self._count_time()
        now = self._settled = self._since
        for what, waited_s in self._waited_s.items():
            if waited_s:
                self._counts.stream_s[what] += waited_s
                self.stream.waited(what, waited_s, now)
                self._waited_s[what] = 0.0
        if self._rows:
            self.stream.sent(self._rows, self._sent_bytes, now)
            self._activity.demands.delivered(self.whose.digest, self._rows)
            self._rows = self._sent_bytes = 0

    def drawing(self, rows: int, make: Callable[[], list[bytes]]) -> Callable[[], list[bytes]]:
        """Makes a chunk and counts what that costs; for a render thread, and perhaps after the range has ended."""

        def measured() -> list[bytes]:
            begun = time.perf_counter()
            drawn_rows = 0  # a chunk that fails costs time as well
            try:
                messages = make()
                drawn_rows = rows
                return messages
            finally:
                self._drawn(drawn_rows, time.perf_counter() - begun)

        return measured

    def sent(self, chunk: SentRows, size_bytes: int, *, ends_batch: bool) -> None:
        """The last message of a chunk was handed to the network.

        Args:
            chunk: Its rows.
            size_bytes: Of its messages.
            ends_batch: Whether it is the last one of its shard's rows of a batch.
        """
        with self._activity.lock:
            self._counts.chunks += 1
            self._counts.rows += chunk.rows.size
            self._counts.sent_bytes += size_bytes
            self._counts.batches += ends_batch
            self._rows += chunk.rows.size
            self._sent_bytes += size_bytes
            self._activity.latest_rows[self.whose.dataset] = chunk

    def sent_range(self) -> None:
        """The last chunk was sent."""
        with self._activity.lock:
            self._counts.ranges += 1

    def _count_time(self) -> None:
        now = self._activity.clock()
        self._waited_s[self._waits_for] += now - self._since
        self._since = now

    def _drawn(self, rows: int, thread_s: float) -> None:
        with self._activity.lock:
            self._counts.drawn_chunks += rows > 0
            self._counts.drawn_rows += rows
            self._counts.render_s += thread_s
            self._activity.demands.drawn(self.whose.digest, thread_s)
            self._activity.render_s.add(thread_s, self._activity.clock())


def _key(whose: RangeOf) -> tuple[int, str]:
    """One stream's; where the client does not name it, all ranges of its connection count as one."""
    return (whose.stream_id, "") if whose.stream_id else (0, whose.peer)
