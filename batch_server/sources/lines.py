r"""Cuts a stream of text into blocks of whole lines, holding no more than one line and one block.

A line ends at `\n`; the last one may lack it. A line longer than LINE_LIMIT_BYTES is passed over and reported.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.sources.rows import Chunk, Position, Reject, Row, Rows, RowsBuilder

BLOCK_BYTES = 1 << 19
# Bounds what one block of empty or malformed lines can grow to in memory. A block of drawings has about 1,100.
BLOCK_LINES = 1 << 13
# The longest of 8,513 real raw drawings takes 45 kB. A coordinate takes at least two bytes of text and one packed, so
# no record grows beyond the 1 MiB that a dataset takes.
LINE_LIMIT_BYTES = 2 << 20


class Stream(Protocol):
    """What a source is read from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills at most the buffer; returns how many bytes, 0 at the end only."""


class Block(NamedTuple):
    r"""Whole lines.

    Attributes:
        data: uint8 `[bytes]`, valid until the next block is asked for; empty for a line that was passed over.
        ends: int64 `[lines]`, where each line ends in `data`, behind its `\n`.
        offset: Where the block ends in the source.
    """

    data: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    offset: int


def read_lines(stream: Stream, start: Position, parse: Callable[[Block, int], Rows]) -> Iterator[Chunk]:
    """Reads a source whose rows are lines.

    Args:
        stream: Stands at `start`.
        start: Where a line begins.
        parse: Makes rows of a block, given the number of its first line.
    """
    line = start.line
    for block in line_blocks(stream, start.offset):
        if len(block.ends):
            rows = parse(block, line)
            line += len(block.ends)
        else:
            rows = RowsBuilder(rejects=[Reject(line, too_long())]).build()
            line += 1
        yield Chunk(rows, Position(block.offset, line))


def parse_one_by_one(block: Block, first_line: int, parse_line: Callable[[bytes], Row]) -> Rows:
    """Makes rows of a block's lines, one after another; a line of blanks is neither a row nor a reject.

    Args:
        block: At least one line.
        first_line: The number of its first line.
        parse_line: Makes a row of a line without its end, or raises ValueError with the reason why it is malformed.
    """
    rows = RowsBuilder()
    begin = 0
    for number, end in enumerate(block.ends.tolist(), first_line):
        line = block.data[begin:end].tobytes().strip(b" \t\r\n")
        begin = end
        if not line:
            continue
        try:
            if len(line) > LINE_LIMIT_BYTES:
                raise ValueError(too_long())
            rows.add(number, parse_line(line))
        except ValueError as reason:
            rows.reject(number, str(reason))
    return rows.build()


def too_long() -> str:
    """Why a long line is rejected."""
    return f"a line has at most {LINE_LIMIT_BYTES >> 20} MiB"


def line_blocks(stream: Stream, offset: int) -> Iterator[Block]:
    """The lines of a stream in blocks.

    Args:
        stream: Stands at `offset`.
        offset: Where a line begins.
    """
    # Pages that no long line has touched take no memory.
    buffer = bytearray(LINE_LIMIT_BYTES + BLOCK_BYTES)
    view, data = memoryview(buffer), np.frombuffer(buffer, np.uint8)
    filled = 0  # bytes of an unfinished line, at the beginning of the buffer
    passing_over = False
    while read := stream.readinto(view[filled : filled + BLOCK_BYTES]):
        cut = buffer.rfind(b"\n", filled, filled + read) + 1
        filled += read
        if not cut:
            if filled > LINE_LIMIT_BYTES:
                offset, filled, passing_over = offset + filled, 0, True
            continue
        begin = 0
        if passing_over:
            begin = buffer.find(b"\n") + 1
            passing_over = False
            yield _long_line(offset + begin)
        yield from _blocks(data, begin, cut, offset)
        data[: filled - cut] = data[cut:filled].copy()
        offset, filled = offset + cut, filled - cut
    if passing_over:
        yield _long_line(offset + filled)
    else:
        yield from _blocks(data, 0, filled, offset)


def _long_line(offset: int) -> Block:
    return Block(np.empty(0, np.uint8), np.empty(0, np.int64), offset)


def _blocks(data: npt.NDArray[np.uint8], begin: int, end: int, offset: int) -> Iterator[Block]:
    """Whole lines in `data[begin:end]`, whose first byte stands at `offset` in the source, BLOCK_LINES at a time."""
    while begin < end:
        ends = _line_ends(data, begin, end)
        yield Block(data[begin : ends[-1]], ends - begin, offset + int(ends[-1]))
        begin = int(ends[-1])


@njit(cache=True, nogil=True)
def _line_ends(data, begin, end):  # type: ignore[no-untyped-def]
    """Where the first lines end, BLOCK_LINES at most; the last line may lack its newline."""
    ends = np.empty(BLOCK_LINES, np.int64)
    count = 0
    for at in range(begin, end):
        if data[at] == 10 or at == end - 1:
            ends[count] = at + 1
            count += 1
            if count == BLOCK_LINES:
                break
    return ends[:count].copy()
