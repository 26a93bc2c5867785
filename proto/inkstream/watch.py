"""Watches over a stream: keeps the servers known and probed, and has late ranges read elsewhere."""

import logging
import time
from collections.abc import Callable

from inkstream.channel import OpenCalls, Server
from inkstream.hedging import CopyState, hedge_allowed, judge
from inkstream.open_range import OpenRange
from inkstream.ranges import RangeReader
from inkstream.servers import ServerSet
from inkstream.stats import StatsCounter

logger = logging.getLogger("inkstream")

# How often it looks; ranges are late after a second at least.
TICK_S = 0.1


class Watch:
    """Looks after one stream, on a thread of its own.

    Args:
        servers: Whom it asks.
        reader: What reads its ranges.
        stats: Where hedges and moves are counted.
        read_second: Has a second copy of a range read from a server; False where there is no memory for it.
        keep_up: Told how many servers there are.
    """

    def __init__(
        self,
        servers: ServerSet,
        reader: RangeReader,
        stats: StatsCounter,
        read_second: Callable[[OpenRange, Server], bool],
        keep_up: Callable[[int], None],
    ):
        self._servers = servers
        self._reader = reader
        self._stats = stats
        self._read_second = read_second
        self._keep_up = keep_up

    def run(self, calls: OpenCalls) -> None:
        """Looks until the calls are cancelled."""
        while not calls.closed.is_set():
            self._look(time.monotonic())
            calls.closed.wait(TICK_S)

    def _look(self, now: float) -> None:
        self._servers.look_after()
        self._keep_up(len(self._servers.current()))
        watched = [(opened, copy) for opened in self._reader.open_ranges() for copy in opened.copies()]
        late_after_s = self._reader.lateness.late_after_s
        verdict = judge(
            [
                CopyState(
                    copy.server,
                    now - copy.asked_at,
                    copy.late,
                    opened.hedged,
                    copy.server.health.unanswered_s(now),
                )
                for opened, copy in watched
            ],
            late_after_s,
        )
        for index in verdict.late:
            watched[index][1].late = True
        for server in verdict.doubt:
            server.health.doubt()
            server.probe()
        for server in verdict.probe:
            server.probe(every_s=late_after_s / 4)
        moved_from = set()
        for index in verdict.move:
            opened, copy = watched[index]
            if self._reader.another_server(opened, now, hedge=False) is not None:
                moved_from.add(copy.server.address)
                self._stats.move(copy.server.address)
                copy.calls.cancel()
        for address in moved_from:
            logger.warning("%s: no answer; what was asked of it is asked of another server", address)
        for index in verdict.hedge:
            self._hedge(watched[index][0], now)

    def _hedge(self, opened: OpenRange, now: float) -> None:
        so_far = self._stats.snapshot()
        server = self._reader.another_server(opened, now, hedge=True)
        if opened.hedged or server is None or not hedge_allowed(so_far.hedges, so_far.ranges):
            return
        opened.hedged = self._read_second(opened, server)
        if opened.hedged:
            self._stats.hedge(server.address)
