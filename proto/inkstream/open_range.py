"""A range that is being read: which pieces of it are here, and who reads it.

One thread reads it, and for a while a second one where it is hedged. Each piece is taken from whichever copy brings it
first; what the other one brings is compared.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from inkstream.attempts import Attempts
from inkstream.channel import OpenCalls, Server
from inkstream.errors import InkstreamError
from inkstream.plan import Cell, Piece
from inkstream.wire import WireChunk


class Arrival(NamedTuple):
    """How a piece came.

    Attributes:
        checksum: Of its rows.
        address: Who sent it.
        blank: Whether some of its rows are blank, so that another server's may differ.
    """

    checksum: int
    address: str
    blank: bool


@dataclass(eq=False)
class Copy:
    """One reading of a range from one server.

    Attributes:
        server: Whom it is read from.
        calls: Its calls; cancelling them ends it.
        asked_at: When it began, on the monotonic clock.
        late: Whether it was late when last looked at.
    """

    server: Server
    calls: OpenCalls
    asked_at: float
    late: bool = False


class OpenRange:
    """A range that is being read: which pieces are here, and who reads it. Any thread may use it.

    Args:
        cell: What is asked for.
        pieces: Its chunks, in the order in which they come.
        attempts: At reading it; guarded by `lock`.

    Attributes:
        hedged: Whether it may not have a second copy any more.
        failure: Why it cannot be had, found while reading the second copy.
    """

    def __init__(self, cell: Cell, pieces: list[Piece], attempts: Attempts):
        self.cell = cell
        self.attempts = attempts
        self.hedged = False
        self.failure: InkstreamError | None = None
        self.lock = threading.RLock()
        self._settled = threading.Condition(self.lock)
        self.pieces = pieces
        self._claimed: set[Piece] = set()
        self._arrived: dict[Piece, Arrival] = {}
        self._copies: list[Copy] = []
        self._ended = False

    def missing(self) -> list[Piece]:
        """The pieces that are not here: the last ones, since copies read in order from the first missing one on."""
        with self.lock:
            return [piece for piece in self.pieces if piece not in self._arrived]

    @property
    def whole(self) -> bool:
        """Whether every piece is here."""
        return len(self._arrived) == len(self.pieces)

    def copies(self) -> list[Copy]:
        """Those that are being read now."""
        with self.lock:
            return list(self._copies)

    def busy(self) -> list[Server]:
        """The servers that are being asked now."""
        return [copy.server for copy in self.copies()]

    @contextmanager
    def reading(self, copy: Copy) -> Iterator[None]:
        """Around reading a copy."""
        with self.lock:
            self._copies.append(copy)
            if self._ended:
                copy.calls.cancel()
        try:
            yield
        finally:
            with self.lock:
                self._copies.remove(copy)

    def end(self) -> None:
        """Ends every copy: the range is whole, or cannot be."""
        with self.lock:
            self._ended = True
            copies = list(self._copies)
        for copy in copies:
            copy.calls.cancel()

    def fail(self, error: InkstreamError) -> None:
        """Lets the range fail, whoever reads it."""
        self.failure = error
        self.end()

    def settle(self, piece: Piece, chunk: WireChunk, address: str, place: Callable[[], Any]) -> Arrival | None:
        """Puts a piece in its place unless another copy has brought it.

        Args:
            piece: Which one.
            chunk: What arrived.
            address: Who sent it.
            place: Puts it there; raises CorruptChunk if it is not what was sent.

        Returns:
            None if it was put there, else how the one came that is there.
        """
        with self.lock:
            while piece in self._claimed:  # while another copy decodes it; that takes milliseconds
                self._settled.wait()
            if piece in self._arrived:
                return self._arrived[piece]
            self._claimed.add(piece)
        arrival = None
        try:
            place()
            arrival = Arrival(chunk.checksum, address, bool(chunk.blanks))
        finally:
            with self.lock:
                if arrival is not None:
                    self._arrived[piece] = arrival
                self._claimed.discard(piece)
                self._settled.notify_all()
        return None
