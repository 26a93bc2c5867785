"""What is counted: values, and sums that one thread changes at a time."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from batch_server.serving.recent import DecayingSum, faded_s
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


class StreamFigures:
    """Of one client's stream, which is many ranges, several at a time.

    Args:
        whose: Its first range.
        now: Seconds of a monotonic clock, here and below.
    """

    def __init__(self, whose: RangeOf, now: float):
        self.whose, self._begun = whose, now  # whose: of the last range
        self._rows, self._sent_bytes = DecayingSum(now), DecayingSum(now)
        self._waits = {what: DecayingSum(now) for what in WaitingFor}

    def waited(self, what: WaitingFor, seconds: float, now: float) -> None:
        """A range was open for some seconds until now, and waited for this."""
        self._waits[what].add(faded_s(seconds), now)

    def sent(self, rows: int, sent_bytes: int, now: float) -> None:
        """Rows and bytes were sent."""
        self._rows.add(rows, now)
        self._sent_bytes.add(sent_bytes, now)

    def report(self, open_ranges: int, now: float) -> StreamReport:
        """How it was lately."""
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
