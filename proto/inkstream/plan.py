"""Where everything in a stream begins and ends: batches, the cells of the grid, chunks, bytes.

A pure function of what was resolved, the shard and the compression, so that every client asks for the same cells and
knows each chunk's rows before it comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from inkstream.chunking import (
    RANGE_BYTES,
    Span,
    chunk_rows,
    range_chunks,
    range_steps,
    rows_per_chunk,
    shard_rows,
)
from inkstream.wire import PART_BYTES

# Most bytes of a serialized chunk besides its tensors: names, shapes and numbers; and for each row a blank's key id.
_CHUNK_HEADER_BYTES = 1024
_BLANK_BYTES = 8
# What a batch costs besides its rows, so that batches without rows are bounded too.
_BATCH_OVERHEAD_BYTES = 4096


class Cursor(NamedTuple):
    """A position in a stream: the next batch to come. In JSON it is the list [epoch, step].

    Attributes:
        epoch: From 0.
        step: Within the epoch, from 0.
    """

    epoch: int
    step: int


class Cell(NamedTuple):
    """What is asked for at once: some whole steps, or some chunks of one step that is too large for that."""

    epoch: int
    steps: Span
    chunks: Span | None = None


class Piece(NamedTuple):
    """One chunk to come: which of its step's, and its rows within the global batch."""

    step: int
    chunk: int
    rows: Span


@dataclass(frozen=True)
class Plan:
    """The boundaries of one stream.

    Args:
        batch_size: Rows of a full global batch.
        samples: Of an epoch.
        steps_per_epoch: Batches of an epoch.
        short: Whether the last batch has only the rows that are left.
        shard: Index and count.
        image_row_bytes: Uncompressed size of one row's image.
        row_bytes: Uncompressed size of one row of all tensors.
        compressed: Whether a compression is asked for.
    """

    batch_size: int
    samples: int
    steps_per_epoch: int
    short: bool
    shard: tuple[int, int]
    image_row_bytes: int
    row_bytes: int
    compressed: bool

    def batch_rows(self, step: int) -> int:
        """Rows of a global batch, all shards together."""
        if self.short and step == self.steps_per_epoch - 1:
            return self.samples - step * self.batch_size
        return self.batch_size

    def shard_rows(self, step: int) -> Span:
        """The rows of a global batch that this shard has; perhaps none."""
        return self._shard_rows[step == self.steps_per_epoch - 1]

    def after(self, position: Cursor) -> Cursor:
        """The position after a batch."""
        if position.step + 1 < self.steps_per_epoch:
            return Cursor(position.epoch, position.step + 1)
        return Cursor(position.epoch + 1, 0)

    def cells(self, start: Cursor, epochs: int | None) -> Iterator[Cell]:
        """The cells of the grid from a position on, the first one without what lies before it.

        Args:
            start: First batch.
            epochs: The epoch at which to end; None for never.
        """
        epoch, step = start
        while epochs is None or epoch < epochs:
            while step < self.steps_per_epoch:
                cells = self._cells_at(epoch, step)
                yield from cells
                step = cells[-1].steps.stop
            epoch, step = epoch + 1, 0

    def pieces(self, cell: Cell) -> list[Piece]:
        """The chunks of a cell, in the order in which they come."""
        pieces = []
        for step in range(*cell.steps):
            chunks = self._chunks(step)
            pieces += [Piece(step, number, chunks[number]) for number in range(*(cell.chunks or (0, len(chunks))))]
        return pieces

    def batch_bytes(self, step: int) -> int:
        """Memory of this shard's rows of a batch."""
        return self.shard_rows(step).size * self.row_bytes + _BATCH_OVERHEAD_BYTES

    def opened_bytes(self, cell: Cell) -> int:
        """Memory of the batches of which a cell brings the first rows."""
        if cell.chunks is not None and cell.chunks.start > 0:
            return 0
        return sum(self.batch_bytes(step) for step in range(*cell.steps))

    def message_bytes(self, cell: Cell) -> int:
        """Most memory of the messages of a cell, were all of them to arrive at once."""
        largest = self.largest_chunk_bytes
        joined = largest if largest > PART_BYTES else 0  # the copy in which the parts of one chunk are put together
        return sum(self._chunk_bytes(piece.rows.size) for piece in self.pieces(cell)) + joined

    @cached_property
    def largest_chunk_bytes(self) -> int:
        """Most bytes of a serialized chunk."""
        return self._chunk_bytes(min(rows_per_chunk(self.image_row_bytes, self.compressed), self._most_rows))

    @property
    def least_budget_bytes(self) -> int:
        """Memory without which a stream cannot go on: the batches of its largest cell, and that cell's messages."""
        return self.opened_bytes(self._cells_at(0, 0)[0]) + self.most_message_bytes

    @cached_property
    def most_message_bytes(self) -> int:
        """Most memory of the messages of any cell."""
        return max(self.message_bytes(cell) for cell in self._cells_at(0, 0))

    @cached_property
    def _most_rows(self) -> int:
        """Rows that a shard has of a full batch, at most."""
        return -(-self.batch_size // self.shard[1])

    def _cells_at(self, epoch: int, step: int) -> list[Cell]:
        """The cells of one step that is split, or the cell of the grid that holds the step, from it on."""
        if self._most_rows * self.image_row_bytes > RANGE_BYTES:
            chunks = len(self._chunks(step))
            size = range_chunks(self.image_row_bytes, self.compressed)
            firsts = range(0, max(chunks, 1), size)
            return [Cell(epoch, Span(step, step + 1), Span(first, min(first + size, chunks))) for first in firsts]
        size = range_steps(self.batch_size, self.shard[1], self.image_row_bytes)
        return [Cell(epoch, Span(step, min((step // size + 1) * size, self.steps_per_epoch)))]

    def _chunks(self, step: int) -> list[Span]:
        """The rows of each chunk of a step."""
        return self._chunk_rows[step == self.steps_per_epoch - 1]

    @cached_property
    def _shard_rows(self) -> tuple[Span, Span]:
        """This shard's rows of a batch that is not the last one, and of the last one."""
        batches = self.batch_size, self.batch_rows(self.steps_per_epoch - 1)
        full, last = (shard_rows(rows, *self.shard) for rows in batches)
        return full, last

    @cached_property
    def _chunk_rows(self) -> tuple[list[Span], list[Span]]:
        """The same, cut into chunks."""
        full, last = (chunk_rows(rows, self.image_row_bytes, self.compressed) for rows in self._shard_rows)
        return full, last

    def _chunk_bytes(self, rows: int) -> int:
        """A compression that does not shrink a tensor is not used for it."""
        return rows * (self.row_bytes + _BLANK_BYTES) + _CHUNK_HEADER_BYTES
