"""Reading bytes as a format, whole or in pieces."""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from batch_server.drawing.record import unpack
from batch_server.sources.detect import HEAD_BYTES, detect
from batch_server.sources.rows import NO_CLASS, Position, Rows


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int):
        super().__init__(data)
        self._most = most

    def readinto(self, buffer: Any) -> int:
        return super().readinto(memoryview(buffer)[: self._most])


class Drawing(NamedTuple):
    """A row as values that a test can state."""

    line: int
    class_name: str | None
    key_id: int
    country: str
    recognized: int
    timestamp: int
    strokes: list[list[list[int]]]


def stated(rows: Rows) -> list[Drawing]:
    """Rows as values."""
    drawings = []
    at = 0
    for index in range(len(rows.key_id)):
        end = at + int(rows.lengths[index])
        country = int(rows.country[index])
        drawings.append(
            Drawing(
                int(rows.line[index]),
                None if rows.class_index[index] == NO_CLASS else rows.classes[rows.class_index[index]],
                int(rows.key_id[index]),
                country.to_bytes(2, "big").decode() if country else "",
                int(rows.recognized[index]),
                int(rows.timestamp[index]),
                [stroke.T.tolist() for stroke in unpack(rows.records[at:end].tobytes())],
            )
        )
        at = end
    assert at == len(rows.records)
    return drawings


class Content(NamedTuple):
    """All that a source holds."""

    format: str
    drawings: list[Drawing]
    rejects: list[tuple[int, str]]
    end: Position


def read(data: bytes, name: str = "cat.bin", class_name: str | None = None, most: int = 1 << 30) -> Content:
    """Finds the format of some bytes and reads all of them; `most` is how many a read of the stream gives at most."""
    found = detect(bytes(data[:HEAD_BYTES]), len(data) <= HEAD_BYTES, name, class_name)
    stream = Trickle(data, most)
    stream.seek(found.first.offset)
    drawings: list[Drawing] = []
    rejects: list[tuple[int, str]] = []
    end = found.first
    for rows, after in found.read(stream, found.first):
        end = after
        drawings += stated(rows)
        rejects += [tuple(reject) for reject in rows.rejects]
    return Content(found.name, drawings, rejects, end)


@pytest.fixture(scope="session")
def read_source() -> Callable[..., Content]:
    """Finds the format of some bytes and reads all of them."""
    return read


@pytest.fixture(scope="session")
def drawings_of() -> Callable[[Rows], list[Drawing]]:
    """Rows as values that a test can state."""
    return stated
