"""What a stream has done so far."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

# More blank rows are counted but not named: a rotten disk must not fill the client's memory.
_MAX_NAMED_BLANKS = 1000


@dataclass(frozen=True)
class ServerStats:
    """What one server has delivered.

    Attributes:
        chunks: Chunks that arrived whole, those too that another server had delivered already.
        rows: Their rows.
        wire_bytes: Bytes of messages, as they travelled.
        failures: Attempts that failed.
        hedges: Second copies of late ranges that were asked of it.
        moves: Ranges that were taken from it because it did not answer.
        wait_s: Seconds for which reading threads waited for its messages, all threads together.
        decode_s: Seconds for which they worked on them: read, decoded and compared.
    """

    chunks: int = 0
    rows: int = 0
    wire_bytes: int = 0
    failures: int = 0
    hedges: int = 0
    moves: int = 0
    wait_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True)
class StreamStats:
    """What a stream has done so far.

    Attributes:
        batches: Delivered to the caller.
        rows: In those batches.
        wait_s: Seconds for which the caller has waited for them.
        ready_batches: The next ones that are whole now and wait for the caller.
        wire_bytes: Bytes of messages that arrived.
        retries: Attempts at a range that failed and were made again.
        ranges: That were begun.
        hedges: Second copies that were asked for because a range was late.
        moves: Ranges that were asked for elsewhere because a server did not answer.
        duplicate_chunks: That came from two servers; they were equal.
        blank_rows: Rows left blank because every server found their record rotten.
        blank_key_ids: Key ids of the first 1,000 of them.
        servers: By address, those too that are gone.
    """

    batches: int = 0
    rows: int = 0
    wait_s: float = 0.0
    ready_batches: int = 0
    wire_bytes: int = 0
    retries: int = 0
    ranges: int = 0
    hedges: int = 0
    moves: int = 0
    duplicate_chunks: int = 0
    blank_rows: int = 0
    blank_key_ids: tuple[int, ...] = ()
    servers: dict[str, ServerStats] = field(default_factory=dict)


class StatsCounter:
    """Counts for a stream; any thread may count and look."""

    def __init__(self, addresses: Iterable[str]):
        self._lock = threading.Lock()
        # By the names of their fields: several counts change with each chunk, and frozen ones would be made anew.
        self._servers: dict[str, dict[str, Any]] = {address: vars(ServerStats()).copy() for address in addresses}
        self._total: dict[str, Any] = vars(StreamStats()).copy()

    def batch(self, rows: int, wait_s: float) -> None:
        """One batch was delivered."""
        with self._lock:
            self._total["batches"] += 1
            self._total["rows"] += rows
            self._total["wait_s"] += wait_s

    def begun(self) -> None:
        """A range is begun."""
        with self._lock:
            self._total["ranges"] += 1

    def chunk(self, address: str, rows: int, wire_bytes: int, *, wait_s: float, decode_s: float) -> None:
        """A server delivered one chunk, for which a thread waited and on which it then worked."""
        with self._lock:
            server = self._server(address)
            server["chunks"] += 1
            server["rows"] += rows
            server["wire_bytes"] += wire_bytes
            server["wait_s"] += wait_s
            server["decode_s"] += decode_s

    def duplicate(self) -> None:
        """A chunk was there already."""
        with self._lock:
            self._total["duplicate_chunks"] += 1

    def failure(self, address: str) -> None:
        """An attempt failed."""
        with self._lock:
            self._server(address)["failures"] += 1

    def hedge(self, address: str) -> None:
        """A server was asked for a second copy."""
        with self._lock:
            self._server(address)["hedges"] += 1

    def move(self, address: str) -> None:
        """A range was taken from a server."""
        with self._lock:
            self._server(address)["moves"] += 1

    def blanks(self, key_ids: tuple[int, ...]) -> None:
        """Rows were left blank."""
        with self._lock:
            named = (*self._total["blank_key_ids"], *key_ids)[:_MAX_NAMED_BLANKS]
            self._total["blank_key_ids"] = named
            self._total["blank_rows"] += len(key_ids)

    def snapshot(self) -> StreamStats:
        """The counts of now; how many batches are ready is not counted here."""
        with self._lock:
            servers = {address: ServerStats(**counts) for address, counts in self._servers.items()}
            total = StreamStats(**self._total)
        return replace(
            total,
            wire_bytes=sum(server.wire_bytes for server in servers.values()),
            retries=sum(server.failures for server in servers.values()),
            hedges=sum(server.hedges for server in servers.values()),
            moves=sum(server.moves for server in servers.values()),
            servers=servers,
        )

    def _server(self, address: str) -> dict[str, Any]:
        """The counts of a server."""
        if (counts := self._servers.get(address)) is None:
            counts = self._servers[address] = vars(ServerStats()).copy()
        return counts
