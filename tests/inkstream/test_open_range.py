"""Two copies of one range, in any interleaving: each piece is placed once, whole, and the other one is compared."""

import random
import threading
from collections import Counter

import pytest

from inkstream.chunking import Span
from inkstream.errors import CorruptChunk
from inkstream.open_range import Arrival, OpenRange
from inkstream.plan import Cell, Piece
from inkstream.wire import WireChunk

PIECES = [Piece(step, 0, Span(0, 4)) for step in range(12)]


def chunk(piece: Piece) -> WireChunk:
    return WireChunk(0, piece.step, 0, 4, 4, (), 100 + piece.step, ())


def opened() -> OpenRange:
    return OpenRange(Cell(0, Span(0, 12)), list(PIECES), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("corrupt", ["first", "second"])
@pytest.mark.parametrize("hedged_at", [0, 5, 11])
@pytest.mark.parametrize("seed", range(3))
def test_every_piece_is_placed_once(seed: int, hedged_at: int, corrupt: str) -> None:
    """One thread reads from the first piece on, another one from a later one; one of them fails at some."""
    reading = opened()
    yields = random.Random(seed).choices([False, True], k=len(PIECES))
    placed: Counter[int] = Counter()
    compared: list[tuple[int, Arrival]] = []
    hedge_begins = threading.Event()

    def read(name: str, first: int, fails_at: int | None) -> None:
        for piece in PIECES[first:]:
            if name == "first" and piece.step == hedged_at:
                hedge_begins.set()

            def place(piece: Piece = piece) -> None:
                if yields[piece.step]:
                    threading.Event().wait(0.0005)  # lets the other thread in while this one decodes
                if piece.step == fails_at:
                    raise CorruptChunk("a bit")
                placed[piece.step] += 1

            try:
                there = reading.settle(piece, chunk(piece), name, place)
            except CorruptChunk:
                return read(name, piece.step, None)  # asks again, from the first missing piece on
            if there is not None:
                compared.append((piece.step, there))

    def hedge() -> None:
        assert hedge_begins.wait(20)
        read("second", hedged_at, hedged_at if corrupt == "second" else None)

    thread = threading.Thread(target=hedge)
    thread.start()
    read("first", 0, 5 if corrupt == "first" else None)
    thread.join(20)
    assert reading.whole and reading.missing() == []
    assert placed == Counter(range(12))
    assert sorted(step for step, _ in compared) == list(range(hedged_at, 12))
    assert all(there.checksum == 100 + step and there.address in ("first", "second") for step, there in compared)
