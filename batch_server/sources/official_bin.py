"""Google's binary layout, little endian, without a header.

Per drawing: key id uint64, country 2 bytes, recognized int8, timestamp uint32 (seconds), number of strokes uint16; then
per stroke the number of points uint16, the x bytes and the y bytes. The class is the file's name.

Nothing marks such a file, and other headerless files exist. So a file is taken for one only if most of the records at
its beginning make sense (`looks_right`) and its records end exactly at its last byte; otherwise none of it is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.drawing.record import write_count
from batch_server.sources.fields import is_alphanumeric
from batch_server.sources.lines import BLOCK_BYTES, Stream
from batch_server.sources.opening import CorruptSource
from batch_server.sources.rows import START, Chunk, Position, Reject, Rows

# The largest real record takes 1.6 kB. A dataset takes up to 1 MiB, and packing adds at most 17 bytes (see `_parse`).
RECORD_LIMIT_BYTES = (1 << 20) - 32
HEADER_BYTES = 17

_OK, _KEY_ID, _COUNTRY, _RECOGNIZED, _EMPTY_DRAWING, _EMPTY_STROKE = range(6)
_REASONS = {
    _KEY_ID: "empty key id",
    _COUNTRY: "a country code is two ASCII letters or digits",
    _RECOGNIZED: "recognized is 0 or 1",
    _EMPTY_DRAWING: "empty drawing",
    _EMPTY_STROKE: "a stroke has no point",
}


@dataclass(frozen=True)
class OfficialBin:
    """A file of binary drawings.

    Attributes:
        class_name: The class of all rows.
    """

    class_name: str
    first = START
    name = "Quick, Draw! binary"
    made_of_lines = False
    labelled = True

    def read(self, stream: Stream, start: Position) -> Iterator[Chunk]:
        """The rows from `start` on, where the stream stands; a row's line is its record's number.

        Raises:
            CorruptSource: The records do not end where the file does: it holds something else.
        """
        # Pages that no long record has touched take no memory.
        buffer = bytearray(RECORD_LIMIT_BYTES + BLOCK_BYTES)
        view, data = memoryview(buffer), np.frombuffer(buffer, np.uint8)
        offset, number = start
        filled = 0  # bytes of an unfinished record, at the beginning of the buffer
        while filled <= RECORD_LIMIT_BYTES and (read := stream.readinto(view[filled : filled + BLOCK_BYTES])):
            filled += read
            rows, records, cut = self._parse(data[:filled], number)
            data[: filled - cut] = data[cut:filled].copy()
            offset, number, filled = offset + cut, number + records, filled - cut
            if records:
                yield Chunk(rows, Position(offset, number))
        if filled:
            raise CorruptSource(
                "no known format: it begins like Quick, Draw! binary, but "
                f"record {number} at byte {offset:,} is longer than the file or than 1 MiB"
            )

    def _parse(self, data: npt.NDArray[np.uint8], first: int) -> tuple[Rows, int, int]:
        """The whole records in `data`, how many there are and where the last one ends."""
        status, key_id, country, recognized, timestamp, lengths, records, cut = _parse(data)
        rows = np.flatnonzero(status == _OK)
        rejects = [Reject(first + int(i), _REASONS[int(status[i])]) for i in np.flatnonzero(status != _OK)]
        return (
            Rows(
                key_id[rows],
                np.zeros(len(rows), np.int32),
                country[rows],
                recognized[rows],
                timestamp[rows],
                first + rows,
                lengths[rows],
                records,
                [self.class_name],
                rejects,
            ),
            len(status),
            int(cut),
        )


def looks_right(head: bytes, whole: bool) -> bool:
    """Whether the beginning of a file may be that of a binary one: most of its records are well formed.

    Args:
        head: The file's first bytes.
        whole: Whether these are all of them; the last record must then end with them.
    """
    status, *_, cut = _parse(np.frombuffer(bytearray(head), np.uint8))
    return 2 * int(np.count_nonzero(status == _OK)) > len(status) and not (whole and cut < len(head))


@njit(cache=True, nogil=True)
def _parse(data):  # type: ignore[no-untyped-def]
    """Packs the whole records at the beginning of `data`.

    Returns:
        Per record a status, key id, country, recognized, timestamp and the packed record's length (0 if malformed); the
        packed records of the well-formed ones; and where the last whole record ends.
    """
    n = np.int64(len(data))
    most = n // HEADER_BYTES
    status = np.empty(most, np.uint8)
    key_id = np.empty(most, np.uint64)
    country = np.empty(most, np.uint16)
    recognized = np.empty(most, np.uint8)
    timestamp = np.empty(most, np.uint32)
    lengths = np.empty(most, np.uint32)
    # A packed record is longer than its source only by strokes of 16,384 points and more, whose count takes 3 bytes.
    records = np.empty(n + n // 16384, np.uint8)
    out = np.int64(0)
    count = 0
    at = np.int64(0)
    while at + HEADER_BYTES <= n:
        strokes = np.int64(data[at + 15]) | np.int64(data[at + 16]) << 8
        end = at + HEADER_BYTES
        empty_stroke = False
        for _ in range(strokes):
            if end + 2 > n:
                end = n + 1
                break
            points = np.int64(data[end]) | np.int64(data[end + 1]) << 8
            empty_stroke |= points == 0
            end += 2 + 2 * points
        if end > n or end - at > RECORD_LIMIT_BYTES:
            break
        key_id[count], timestamp[count], lengths[count] = 0, 0, 0
        for i in range(8):
            key_id[count] |= np.uint64(data[at + i]) << np.uint64(8 * i)
        for i in range(4):
            timestamp[count] |= np.uint32(data[at + 11 + i]) << np.uint32(8 * i)
        country[count] = np.uint16(data[at + 8]) << 8 | np.uint16(data[at + 9])
        recognized[count] = data[at + 10]
        if key_id[count] == 0:
            status[count] = _KEY_ID
        elif country[count] and not (is_alphanumeric(data[at + 8]) and is_alphanumeric(data[at + 9])):
            status[count] = _COUNTRY
        elif recognized[count] > 1:
            status[count] = _RECOGNIZED
        elif strokes == 0:
            status[count] = _EMPTY_DRAWING
        elif empty_stroke:
            status[count] = _EMPTY_STROKE
        else:
            status[count] = _OK
            before = out
            out = _pack(data, at + HEADER_BYTES, strokes, records, out)
            lengths[count] = out - before
        count += 1
        at = end
    return (
        status[:count],
        key_id[:count],
        country[:count],
        recognized[:count],
        timestamp[:count],
        lengths[:count],
        records[:out],
        at,
    )


@njit(cache=True, nogil=True)
def _pack(data, first, strokes, records, out):  # type: ignore[no-untyped-def]
    """Writes one record at `out` of `records`; returns where it ends."""
    out = write_count(records, out, strokes)
    at = first
    for _ in range(strokes):
        points = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        out = write_count(records, out, points)
        at += 2 + 2 * points
    at = first
    for _ in range(strokes):
        points = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        for i in range(2 * points):
            records[out + i] = data[at + 2 + i]
        out += 2 * points
        at += 2 + 2 * points
    return out
