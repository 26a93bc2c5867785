"""How many servers the trainers need: what they could take, times what it costs here.

A trainer says with each range how many rows per second it could take from this server if it never had to wait. A row
costs this server the time of a render thread, measured per pipeline, where rows from the cache cost nothing. Demand
times cost, divided by the threads there are, is the number of servers like this one that this server's share of the
demand needs; the sum over servers is the number that all trainers need.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from batch_server.serving.recent import DecayingSum, Recent

# A trainer asks for a range every few seconds at most; a stream that has not asked for so long is gone.
KEEP_DEMAND_S = 30.0
# More streams than a server admits, and few enough to bound what invented ids take.
MAX_STREAMS = 4096
# A trainer that does nothing but read comes to about a million; this only keeps sums finite.
MAX_DEMAND_ROWS_PER_S = 1e9

# What a pipeline's rows cost is remembered while its trainers validate or restart.
_KEEP_COST_S = 600.0
_MAX_PIPELINES = 256


class Demand(NamedTuple):
    """What one stream last said.

    Attributes:
        pipeline: Digest of the batches that it asks for.
        rows_per_s: That its trainer could take from this server.
    """

    pipeline: str
    rows_per_s: float


class DemandReport(NamedTuple):
    """What all streams want from this server.

    Attributes:
        streams: That said lately what they could take.
        rows_per_s: That they could take together.
        threads: Render threads that this would keep busy; by the number there are, it is the servers needed.
    """

    streams: int
    rows_per_s: float
    threads: float


class _Cost:
    """Of one pipeline, lately."""

    def __init__(self, now: float):
        self.thread_s = DecayingSum(now)
        self.delivered_rows = DecayingSum(now)


class DemandTable:
    """Remembers what streams demand and what rows cost; not for several threads at a time.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._demands: Recent[int, Demand] = Recent(KEEP_DEMAND_S, MAX_STREAMS, clock)
        self._costs: Recent[str, _Cost] = Recent(_KEEP_COST_S, _MAX_PIPELINES, clock)

    def asked(self, stream_id: int, pipeline: str, rows_per_s: float) -> None:
        """A stream asked for a range.

        Args:
            stream_id: 0 where the client does not say; such a demand counts for nothing, as does one of 0.
            pipeline: Digest of its batches.
            rows_per_s: At least 0, finite; cut to `MAX_DEMAND_ROWS_PER_S`.
        """
        assert math.isfinite(rows_per_s) and rows_per_s >= 0  # requests are checked before
        if stream_id and rows_per_s:
            self._demands.put(stream_id, Demand(pipeline, min(rows_per_s, MAX_DEMAND_ROWS_PER_S)))

    def drawn(self, pipeline: str, thread_s: float) -> None:
        """A render thread was busy with a pipeline's chunk for so long."""
        self._cost(pipeline).thread_s.add(thread_s, self._clock())

    def delivered(self, pipeline: str, rows: int) -> None:
        """Rows were sent, drawn for this or taken from the cache."""
        self._cost(pipeline).delivered_rows.add(rows, self._clock())

    def report(self) -> DemandReport:
        """The demand of the streams that have asked lately."""
        demands = [demand for _, demand in self._demands.items()]
        by_pipeline: dict[str, float] = {}
        for pipeline, rows_per_s in demands:
            by_pipeline[pipeline] = by_pipeline.get(pipeline, 0.0) + rows_per_s
        return DemandReport(
            streams=len(demands),
            rows_per_s=sum(by_pipeline.values()),
            threads=sum(rows_per_s * self.thread_s_per_row(pipeline) for pipeline, rows_per_s in by_pipeline.items()),
        )

    def thread_s_per_row(self, pipeline: str) -> float:
        """What a delivered row of a pipeline costs lately, in seconds of a render thread; 0 while nothing is known."""
        cost = self._costs.get(pipeline)
        if cost is None:
            return 0.0
        now = self._clock()
        rows = cost.delivered_rows.value(now)
        return cost.thread_s.value(now) / rows if rows else 0.0

    def _cost(self, pipeline: str) -> _Cost:
        return self._costs.touch(pipeline, lambda: _Cost(self._clock()))
