"""Where shards, chunks and ranges begin and end: pure functions of pipeline, shard count and compression.

Pieces from different servers fit, and caches meet, because nobody chooses these boundaries.
"""

from typing import NamedTuple

# Chunks of about 1 MiB on the wire are the fastest (docs/decisions.md); where a compression is expected to shrink
# pictures about fourfold, four times as many pixels make one.
CHUNK_BYTES = 1 << 20
COMPRESSED_CHUNK_BYTES = 4 << 20

# Bytes of pictures that a client asks for at once: large enough to hide a round trip and what a call itself costs,
# small enough that a hedge or a server's death repeats little.
RANGE_BYTES = 16 << 20
MAX_RANGE_STEPS = 64


class Span(NamedTuple):
    """A half-open interval of rows, steps or chunks."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many there are."""
        return self.stop - self.start


def shard_rows(batch_rows: int, index: int, count: int) -> Span:
    """The rows of a global batch of `batch_rows` rows that shard `index` of `count` holds."""
    return Span(index * batch_rows // count, (index + 1) * batch_rows // count)


def rows_per_chunk(row_bytes: int, compressed: bool) -> int:
    """Most rows of a chunk; `row_bytes` is the uncompressed size of one row's image."""
    return max(1, (COMPRESSED_CHUNK_BYTES if compressed else CHUNK_BYTES) // row_bytes)


def chunk_rows(rows: Span, row_bytes: int, compressed: bool) -> list[Span]:
    """Cuts the rows that a shard has of a batch into chunks; none for no rows.

    Args:
        rows: Rows of the global batch.
        row_bytes: Uncompressed size of one row's image.
        compressed: Whether a compression is asked for.
    """
    start, size = rows.start, rows.size
    count = -(-size // rows_per_chunk(row_bytes, compressed))
    return [Span(start + index * size // count, start + (index + 1) * size // count) for index in range(count)]


def range_steps(batch_size: int, shard_count: int, row_bytes: int) -> int:
    """Steps of one cell of the grid on which clients ask for ranges: cell i is the steps from i * range_steps on."""
    step_bytes = -(-batch_size // shard_count) * row_bytes
    return max(1, min(MAX_RANGE_STEPS, RANGE_BYTES // step_bytes))


def range_chunks(row_bytes: int, compressed: bool) -> int:
    """Chunks of one cell where a step passes RANGE_BYTES: cell i of the step is its chunks from i * range_chunks on."""
    return max(1, RANGE_BYTES // (rows_per_chunk(row_bytes, compressed) * row_bytes))
