"""Rows that are lines of text: the compiled parser takes what it can, the one in Python decides on the rest."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batch_server.sources import scan
from batch_server.sources.lines import LINE_LIMIT_BYTES, Stream, line_blocks
from batch_server.sources.rows import Chunk, Position, Reject, Row, Rows, RowsBuilder, merged

Text = npt.NDArray[np.uint8]

TOO_LONG = f"a line has at most {LINE_LIMIT_BYTES >> 20} MiB"

# Parsed to Python objects, a line takes up to 16 times its bytes: only one such line at a time, whatever the threads.
_LONG_LINE_BYTES = 1 << 16
_long_line = threading.Lock()


class Layout(NamedTuple):
    """How a line says what it says.

    Attributes:
        columns: uint8 `[columns]`, the fields of a CSV line (`scan.KEY_ID` ...); empty for JSON objects.
        members: The fields of a JSON object, a sum of powers of two.
        class_name: The class of all rows; None if the lines name one each, or none at all.
        parse_line: The parser in Python: makes a row of a line without blanks at its ends, or raises ValueError with
            the reason why it is malformed.
        complete: Adds what the compiled parser does not know to the rows that it took.
    """

    columns: npt.NDArray[np.uint8]
    members: int
    class_name: str | None
    parse_line: Callable[[bytes], Row]
    complete: Callable[[Rows], Rows] = lambda rows: rows


def read_lines(stream: Stream, start: Position, layout: Layout) -> Iterator[Chunk]:
    """Reads the lines of a source from `start` on, where the stream stands."""
    line = start.line
    for block in line_blocks(stream, start.offset):
        if block.data is None:
            rejected = RowsBuilder(rejects=[Reject(line, TOO_LONG)]).build()
            line += 1
            yield Chunk(rejected, Position(block.end, line))
            continue
        done_bytes = 0
        while done_bytes < len(block.data):
            rows, lines, read_bytes = parse(block.data[done_bytes:], line, layout)
            done_bytes += read_bytes
            line += lines
            yield Chunk(rows, Position(min(block.start + done_bytes, block.end), line))


def parse(data: Text, first_line: int, layout: Layout) -> tuple[Rows, int, int]:
    """Makes rows of the first lines of some text; a line of blanks is neither a row nor a reject.

    Args:
        data: uint8 `[bytes]`, at least one line, each with its newline.
        first_line: The number of the first line.
        layout: How to read them.

    Returns:
        The rows, and how many lines and bytes they were.
    """
    scanned = scan.Scanned(*scan.scan(data, layout.columns, layout.members, LINE_LIMIT_BYTES))
    rows = layout.complete(_taken(data, first_line, scanned, layout.class_name))
    left = np.flatnonzero(scanned.status == scan.LEFT).tolist()
    if left:
        rows = merged(rows, parse_one_by_one(data, first_line, scanned.ends, left, layout.parse_line))
    return rows, len(scanned.ends), int(scanned.ends[-1])


def parse_one_by_one(
    data: Text, first_line: int, ends: npt.NDArray[np.int64], lines: Iterable[int], parse_line: Callable[[bytes], Row]
) -> Rows:
    """Makes rows of some lines in Python.

    Args:
        data: uint8 `[bytes]`.
        first_line: The number of the first line.
        ends: int64 `[lines]`, where each line ends, behind its newline.
        lines: Which to parse, counted from 0, ascending.
        parse_line: As in `Layout`.
    """
    rows = RowsBuilder()
    for index in lines:
        begin = ends[index - 1] if index else 0
        line = data[begin : ends[index]].tobytes().strip(b" \t\r\n")
        if not line:
            continue
        try:
            if len(line) > LINE_LIMIT_BYTES:
                raise ValueError(TOO_LONG)
            with _long_line if len(line) > _LONG_LINE_BYTES else nullcontext():
                rows.add(first_line + index, parse_line(line))
        except ValueError as reason:
            rows.reject(first_line + index, str(reason))
    return rows.build()


def _taken(data: Text, first_line: int, scanned: scan.Scanned, class_name: str | None) -> Rows:
    """The rows that the compiled parser took."""
    taken = np.flatnonzero(scanned.status == scan.TAKEN)
    if class_name is None:
        class_index = scanned.class_index[taken]
        classes = [data[start:end].tobytes().decode() for start, end in scanned.words.tolist()]
    else:
        class_index, classes = np.zeros(len(taken), np.int32), [class_name]
    return Rows(
        scanned.key_id[taken],
        class_index,
        scanned.country[taken],
        scanned.recognized[taken],
        scanned.timestamp[taken],
        first_line + taken,
        scanned.lengths[taken],
        scanned.records,
        classes,
        [],
    )
