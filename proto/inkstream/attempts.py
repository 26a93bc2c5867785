"""The attempts at one thing, until some server has done it: which one to ask next, and when to give up."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from inkstream.channel import Closed, OpenCalls, Server
from inkstream.errors import (
    AccessDenied,
    CorruptChunk,
    DeadlineExceeded,
    InkstreamError,
    RottenData,
    ServerFailure,
    ServerMismatch,
    ServerUnavailable,
    UnknownDataset,
)
from inkstream.servers import ServerSet, by_preference

_T = TypeVar("_T")

# Worth asking the same server again, later.
PASSING = (ServerUnavailable, DeadlineExceeded, CorruptChunk)
# Another server may answer, this one will not.
REFUSALS = (ServerMismatch, UnknownDataset, RottenData, AccessDenied, ServerFailure)
# Refusals that hold for everything that a stream may ask for.
WHOLE_STREAM = (ServerMismatch, UnknownDataset, AccessDenied)

# Of the time without progress that a caller allows, one call may take this share: the rest is for other attempts.
_CALL_SHARE = 0.25
# How long the first of several servers may take to answer a question; the next ones may take twice as long each, since
# the answer may need a while wherever it comes from.
_FIRST_CALL_S = 3.0
# A call that may take less than this does not even connect.
_LEAST_CALL_S = 0.1
# Chunks that arrive corrupt in a row are no accident.
_MAX_CORRUPT = 4
# A wait for servers looks at them this often: their states change with time, with answers and with look-ups.
WAKE_S = 0.05


class Attempts:
    """The attempts at one thing. Times are seconds on the monotonic clock.

    Args:
        servers: Whom to ask.
        timeout_s: For how long there may be no progress.
        now: When it begins.
        key: What decides the order of preference; None for the order in which the servers are named.
    """

    def __init__(self, servers: ServerSet, timeout_s: float, now: float, key: str | None = None):
        self._servers = servers
        self._timeout_s = timeout_s
        self._key = key
        self._progress_at = now
        self._failures: Counter[Server] = Counter()
        self._corrupt = 0
        self._refused: dict[Server, InkstreamError] = {}
        self._rotten: dict[Server, RottenData] = {}

    def choose(
        self,
        now: float,
        refused: Mapping[Server, InkstreamError] | None = None,
        busy: Collection[Server] = (),
    ) -> Server | None:
        """The server to ask now; None while there is none and it makes sense to wait.

        Args:
            now: The time.
            refused: Servers not to ask, besides those that have refused this thing, and why.
            busy: Servers that are being asked for it already; while there are any, nothing is given up.

        Raises:
            InkstreamError: No server will do it, or the time is over. RottenData where one server found a record
                rotten and no other delivers it.
        """
        asked = self._asked()
        refusals = {**(refused or {}), **self._refused, **self._rotten}
        willing = [server for server in asked if server not in refusals]
        if not busy:
            self._give_up(now, asked, willing, refusals)
        usable = [server for server in willing if server.health.usable(now) and server not in busy]
        trusted = [server for server in usable if not server.health.suspect] or usable
        return min(trusted, key=lambda server: self._failures[server], default=None)  # the first of equals

    def another(
        self, now: float, refused: Mapping[Server, InkstreamError], busy: Collection[Server], hedge: bool
    ) -> Server | None:
        """A server that could do it instead of those that are at it, and is not in doubt; None if there is none now.

        Args:
            now: The time.
            refused: As for `choose`.
            busy: The same.
            hedge: Whether it is for a second copy, which nobody gets who has said that it is full.
        """
        excluded = {*refused, *self._refused, *self._rotten, *busy}
        for server in self._asked():
            health = server.health
            if server not in excluded and health.usable(now) and not health.suspect and not (hedge and health.full):
                return server
        return None

    def call_s(self, now: float) -> float:
        """How many seconds a call that begins now may take."""
        left_s = self._progress_at + self._timeout_s - now
        return max(_LEAST_CALL_S, min(left_s, max(1.0, _CALL_SHARE * self._timeout_s)))

    def progressed(self, at: float) -> None:
        """Starts the time anew, and forgives what concerned the part that is now there."""
        self.waited_from(at)
        self._corrupt = 0
        self._rotten.clear()

    def waited_from(self, at: float) -> None:
        """Starts the time anew: as long as anything comes, servers are busy rather than gone."""
        self._progress_at = max(self._progress_at, at)

    def failed(self, server: Server, error: InkstreamError) -> None:
        """Takes note of a failed attempt.

        Raises:
            InkstreamError: The error, where no server would do otherwise.
        """
        if isinstance(error, RottenData):
            self._rotten[server] = error
        elif isinstance(error, REFUSALS):
            self._refused[server] = error
        elif isinstance(error, PASSING):
            self._corrupt += isinstance(error, CorruptChunk)
            if self._corrupt >= _MAX_CORRUPT:
                raise error
            self._failures[server] += 1
            server.failed(error)
        else:
            raise error

    def left(self, server: Server) -> None:
        """Takes note that a server was left without an answer: another one is preferred."""
        self._failures[server] += 1

    def _asked(self) -> Collection[Server]:
        servers = self._servers.current()
        return servers if self._key is None else by_preference(servers, self._key)

    def _give_up(
        self,
        now: float,
        asked: Collection[Server],
        willing: Collection[Server],
        refusals: Mapping[Server, InkstreamError],
    ) -> None:
        """Raises what there is to say if it makes no sense to go on.

        A record that is rotten on one server may be whole on one that cannot be reached. It is waited for, but from the
        beginning of its outage on: so a dead server delays a run once, not at every rotten record.
        """
        over = now >= self._progress_at + self._timeout_s
        if self._rotten and (over or all(self._gone(server, now) for server in willing)):
            raise next(iter(self._rotten.values()))
        reasons = [refusals[server] for server in asked if server in refusals]
        if asked and not willing:
            raise together(reasons)
        if over:
            reasons += [server.health.last_error for server in willing if server.health.last_error is not None]
            if not asked and self._servers.error is not None:
                reasons.append(self._servers.error)
            raise together(reasons) if reasons else DeadlineExceeded(f"no answer in {self._timeout_s:g} s")

    def _gone(self, server: Server, now: float) -> bool:
        down_since = server.health.down_since
        return down_since is not None and now - down_since >= self._timeout_s


def together(errors: list[InkstreamError]) -> InkstreamError:
    """One error that says what each of several does; of the first one's kind."""
    texts = list(dict.fromkeys(map(str, errors)))
    return errors[0] if len(texts) == 1 else type(errors[0])("; ".join(texts))


def ask_any(
    servers: ServerSet, ask: Callable[[Server, OpenCalls, float], _T], calls: OpenCalls, timeout_s: float
) -> tuple[_T, Server]:
    """Asks one server after the other until one answers.

    Args:
        servers: Whom to ask.
        ask: Makes a call to a server within a number of seconds.
        calls: Where the call is registered.
        timeout_s: When to give up.

    Returns:
        The answer, and who gave it.

    Raises:
        InkstreamError: What the servers said last.
        Closed: The calls are cancelled.
    """
    attempts = Attempts(servers, timeout_s, time.monotonic())
    patience_s = _FIRST_CALL_S
    while True:
        servers.look_after()
        now = time.monotonic()
        server = attempts.choose(now)
        if server is None:
            if calls.closed.wait(WAKE_S):
                raise Closed
            continue
        call_s = attempts.call_s(now)
        if len(servers.current()) > 1:
            call_s, patience_s = min(call_s, patience_s), 2 * patience_s
        try:
            return ask(server, calls, call_s), server
        except InkstreamError as error:
            attempts.failed(server, error)
