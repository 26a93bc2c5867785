"""Which server to ask, and for how long: order of preference, failing over, and when to give up.

Servers keep nothing about clients, so any of them answers anything. A range prefers one by rendezvous hash (Thaler and
Ravishankar 1998), so that trainers on one pipeline meet in one server's cache; a busy or dead one yields to the next.
"""

import ipaddress
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import xxhash

from inkstream.channel import Closed, OpenCalls, Server
from inkstream.errors import (
    AccessDenied,
    CorruptChunk,
    DeadlineExceeded,
    InkstreamError,
    InvalidRequest,
    RottenData,
    ServerFailure,
    ServerMismatch,
    ServerUnavailable,
    UnknownDataset,
)

_T = TypeVar("_T")

# Worth asking the same server again, later.
PASSING = (ServerUnavailable, DeadlineExceeded, CorruptChunk)
# Another server may answer, this one will not.
REFUSALS = (ServerMismatch, UnknownDataset, RottenData, AccessDenied, ServerFailure)

# Of the time without progress that a caller allows, one call may take this share: the rest is for other attempts.
_CALL_SHARE = 0.25
# Chunks that arrive corrupt in a row are no accident.
_MAX_CORRUPT = 4


def addresses_of(target: str | Iterable[str]) -> list[str]:
    """The addresses of servers.

    Args:
        target: `HOST:PORT`, `dns:///NAME:PORT` (every server that the name resolves to), or several of them.

    Returns:
        `HOST:PORT` each, without repetition.

    Raises:
        InvalidRequest: An address is not of these forms, or there is none.
        ServerUnavailable: A name does not resolve.
    """
    found: dict[str, None] = {}
    for text in [target] if isinstance(target, str) else target:
        match = re.fullmatch(r"(dns:///)?([^\s/\[\]:]+|\[[0-9A-Fa-f:.%]+\]):(\d{1,5})", str(text))
        if match is None or not 0 < int(match[3]) < 65536:
            raise InvalidRequest(f"a server's address must be HOST:PORT or dns:///NAME:PORT, got {text!r}")
        found.update(dict.fromkeys(_resolve(match[2], int(match[3])) if match[1] else [str(text)]))
    if not found:
        raise InvalidRequest("at least one server's address is needed, got none")
    return list(found)


def _resolve(name: str, port: int) -> list[str]:
    try:
        infos = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServerUnavailable(
            f"{name}: the name does not resolve ({error}); check it, or wait for the server"
        ) from error
    hosts = sorted({str(info[4][0]) for info in infos})
    return [
        f"[{host}]:{port}" if ipaddress.ip_address(host.partition("%")[0]).version == 6 else f"{host}:{port}"
        for host in hosts
    ]


def by_preference(servers: Sequence[Server], key: str) -> list[Server]:
    """Servers in the order in which a key prefers them: each client comes to the same order."""

    def weight(server: Server) -> int:
        return xxhash.xxh3_64_intdigest(f"{key} {server.address}".encode())

    return sorted(servers, key=weight, reverse=True)


class Attempts:
    """The attempts at one thing, until it is done or the time without progress is over.

    Args:
        servers: In order of preference, at least one.
        timeout_s: How long there may be no progress.
        closed: Set when the thing is no longer wanted.
    """

    def __init__(self, servers: Sequence[Server], timeout_s: float, closed: threading.Event):
        self._servers = list(servers)
        self._timeout_s = timeout_s
        self._closed = closed
        self._failures: Counter[Server] = Counter()
        self._corrupt = 0
        self._rotten: RottenData | None = None
        self._progress_at = time.monotonic()

    def next(self) -> tuple[Server, float]:
        """The server to ask now, once one is ready, and how many seconds the call may take.

        Raises:
            InkstreamError: The time is over; the last error, or the first RottenData.
            Closed: The thing is no longer wanted.
        """
        while True:
            now = time.monotonic()
            left = self._progress_at + self._timeout_s - now
            soonest = min(self._servers, key=lambda server: server.ready_at)
            if left <= 0:
                raise self._rotten or soonest.last_error or DeadlineExceeded(f"no answer in {self._timeout_s:g} s")
            ready = [server for server in self._servers if server.ready_at <= now]
            if ready:
                chosen = min(ready, key=lambda server: self._failures[server])  # the first of equals
                return chosen, min(left, max(1.0, _CALL_SHARE * self._timeout_s))
            if self._closed.wait(min(left, soonest.ready_at - now)):
                raise Closed

    def progressed(self) -> None:
        """Starts the time anew."""
        self._progress_at = time.monotonic()
        self._corrupt = 0

    def failed(self, server: Server, error: InkstreamError) -> None:
        """Takes note of a failed attempt, and raises the error if there is no sense in another.

        Where one server finds a record rotten and no other delivers it, that is what is raised.
        """
        if isinstance(error, REFUSALS):
            if isinstance(error, RottenData):
                self._rotten = self._rotten or error
            self._servers.remove(server)
            if not self._servers:
                raise self._rotten or error
        elif isinstance(error, PASSING):
            self._corrupt += isinstance(error, CorruptChunk)
            if self._corrupt >= _MAX_CORRUPT:
                raise error
            self._failures[server] += 1
            server.failed(error)
        else:
            raise error


def ask_any(
    servers: Sequence[Server], ask: Callable[[Server, OpenCalls, float], _T], calls: OpenCalls, timeout_s: float
) -> tuple[_T, Server]:
    """Asks one server after the other until one answers.

    Args:
        servers: In order of preference.
        ask: Makes a call to a server within a number of seconds.
        calls: Where the call is registered.
        timeout_s: When to give up.

    Returns:
        The answer, and who gave it.

    Raises:
        InkstreamError: The last error.
    """
    attempts = Attempts(servers, timeout_s, calls.closed)
    while True:
        server, call_s = attempts.next()
        try:
            return ask(server, calls, call_s), server
        except InkstreamError as error:
            attempts.failed(server, error)
