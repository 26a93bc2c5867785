"""The batch servers of a client: who they are now, and in which order a range prefers them.

Servers keep nothing about clients, so any of them answers anything. A range prefers one by rendezvous hash (Thaler and
Ravishankar 1998), so that trainers on one pipeline meet in one server's cache; a busy or dead one yields to the next.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import xxhash

from inkstream.channel import Server
from inkstream.errors import ServerUnavailable
from inkstream.resolver import AddressBook, Endpoint

logger = logging.getLogger("inkstream")

# Names are looked up again this long after the last look-up began: a new server takes load within seconds.
LOOK_UP_S = 2.0


def by_preference(servers: Sequence[Server], key: str) -> list[Server]:
    """Servers in the order in which a key prefers them: each client comes to the same order."""

    def weight(server: Server) -> int:
        return xxhash.xxh3_64_intdigest(f"{key} {server.address}".encode())

    return sorted(servers, key=weight, reverse=True)


class ServerSet:
    """The servers that addresses and names stand for; any thread may use it.

    Nothing here waits: a look-up runs on a thread of its own that ends with it, since the system's resolver may block
    for long and cannot be interrupted.

    Args:
        book: Where they listen.
        make: Opens the channel to one.
    """

    def __init__(self, book: AddressBook, make: Callable[[Endpoint], Server]):
        self._book = book
        self._make = make
        self._lock = threading.Lock()
        self._servers: dict[str, Server] = {}
        self._looking_up = False
        self._looked_up_at = -LOOK_UP_S
        self._closed = False
        self._update()

    def current(self) -> tuple[Server, ...]:
        """The servers of now; none before a name was looked up for the first time."""
        with self._lock:
            return tuple(self._servers.values())

    @property
    def error(self) -> ServerUnavailable | None:
        """Why a name could not be looked up the last time."""
        return self._book.error

    def look_after(self) -> None:
        """To be called again and again while servers are needed: looks names up when it is time, and probes servers
        that are passed over until they answer.
        """
        now = time.monotonic()
        with self._lock:
            due = self._book.has_names and not self._looking_up and now >= self._looked_up_at + LOOK_UP_S
            if due and not self._closed:
                self._looking_up, self._looked_up_at = True, now
                threading.Thread(target=self._look_up, name="inkstream-look-up", daemon=True).start()
            servers = list(self._servers.values())
        for server in servers:
            if server.health.suspect or server.health.down_since is not None:
                server.probe()

    def close(self) -> None:
        """Closes every channel."""
        with self._lock:
            self._closed = True
            servers = list(self._servers.values())
        for server in servers:
            server.close()

    def _look_up(self) -> None:
        try:
            self._book.look_up()
            self._update()
        finally:
            self._looking_up = False

    def _update(self) -> None:
        """Opens channels to servers that are new, and takes nothing new to those that are gone."""
        endpoints = {endpoint.address: endpoint for endpoint in self._book.endpoints()}
        with self._lock:
            if self._closed:
                return
            gone = [self._servers.pop(address) for address in self._servers.keys() - endpoints.keys()]
            new = [self._make(endpoints[address]) for address in endpoints if address not in self._servers]
            first = not self._servers and not gone
            self._servers |= {server.address: server for server in new}
        for server in gone:
            logger.info("%s: the name no longer stands for it; it gets no new ranges", server.address)
            server.retire()
        for server in new if not first else ():
            logger.info("%s: a new server", server.address)
