r"""Cuts a stream of text into blocks of whole lines, holding no more than one line and one block.

A line ends at `\n`; the last one may lack it, and gets one. A line longer than LINE_LIMIT_BYTES is passed over and
reported.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 1 << 20
# The longest of 8,513 real raw drawings takes 45 kB. A coordinate takes at least two bytes of text and one packed, so
# no record grows beyond the 1 MiB that a dataset takes.
LINE_LIMIT_BYTES = 2 << 20


class Stream(Protocol):
    """What a source is read from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills at most the buffer; returns how many bytes, 0 at the end only."""


class Block(NamedTuple):
    r"""Whole lines, or one that was passed over.

    Attributes:
        data: uint8 `[bytes]`, the last one `\n`, valid until the next block is asked for; None for a line that is too
            long.
        start: Where the block begins in the source.
        end: Where it ends.
    """

    data: npt.NDArray[np.uint8] | None
    start: int
    end: int


def line_blocks(stream: Stream, offset: int) -> Iterator[Block]:
    """The lines of a stream in blocks.

    Args:
        stream: Stands at `offset`.
        offset: Where a line begins.
    """
    # Pages that no long line has touched take no memory.
    buffer = bytearray(LINE_LIMIT_BYTES + BLOCK_BYTES + 1)
    view, data = memoryview(buffer), np.frombuffer(buffer, np.uint8)
    filled = 0  # bytes of an unfinished line, at the beginning of the buffer
    passed_over: int | None = None  # where a line that is too long begins
    while read := stream.readinto(view[filled : filled + BLOCK_BYTES]):
        cut = buffer.rfind(b"\n", filled, filled + read) + 1
        filled += read
        if not cut:
            if filled > LINE_LIMIT_BYTES:
                passed_over = offset if passed_over is None else passed_over
                offset, filled = offset + filled, 0
            continue
        begin = 0
        if passed_over is not None:
            begin = buffer.find(b"\n") + 1
            yield Block(None, passed_over, offset + begin)
            passed_over = None
        if begin < cut:
            yield Block(data[begin:cut], offset + begin, offset + cut)
        data[: filled - cut] = data[cut:filled].copy()
        offset, filled = offset + cut, filled - cut
    if passed_over is not None:
        yield Block(None, passed_over, offset + filled)
    elif filled:
        data[filled] = ord("\n")
        yield Block(data[: filled + 1], offset, offset + filled)
