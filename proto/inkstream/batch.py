"""Batches: those that are delivered, and those that are being filled from chunks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from inkstream.chunking import Span
from inkstream.compression import decode
from inkstream.descriptions import TensorSpec
from inkstream.errors import CorruptChunk
from inkstream.memory import Recycler
from inkstream.plan import Cursor, Piece
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import Position, WireChunk, new_digest, summed_header


class Batch(Mapping[str, NDArray[Any]]):
    """The rows that a shard has of one global batch; arrays by name, which belong to the caller.

    For drawings: `image` uint8 `[rows, size, size, channels]`, `label` int32 `[rows]` (-1 where there is none),
    `key_id` uint64 `[rows]`, `mask` uint8 `[rows]` (0 for padding and blanks). All are C-contiguous, and the library
    never writes to them again.

    Attributes:
        epoch: From 0.
        step: Within the epoch, from 0.
        rows: Which rows of the global batch these are.
        batch_rows: Rows of the global batch, all shards together.
        cursor: The position after this batch; `stream(..., start=batch.cursor)` goes on there.
    """

    __slots__ = ("_arrays", "batch_rows", "cursor", "epoch", "rows", "step")

    def __init__(self, arrays: dict[str, NDArray[Any]], position: Cursor, cursor: Cursor, rows: Span, batch_rows: int):
        self._arrays = arrays
        self.epoch, self.step = position
        self.cursor = cursor
        self.rows = rows
        self.batch_rows = batch_rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in self.items())
        return f"Batch(epoch={self.epoch}, step={self.step}, {shapes})"


class Assembly:
    """A batch that is being filled, chunk by chunk in any order.

    Args:
        specs: Of the tensors, in the order of the contract.
        position: Of the batch.
        rows: Which rows of the global batch it holds.
        batch_rows: Rows of the global batch.
        compression: What was asked for.
        recycler: Where the arrays come from.
    """

    def __init__(
        self,
        specs: Sequence[TensorSpec],
        position: Cursor,
        rows: Span,
        batch_rows: int,
        compression: int,
        recycler: Recycler,
    ):
        self.position = position
        self.rows = rows
        self.batch_rows = batch_rows
        self.missing_rows = rows.size
        self._specs = specs
        self._recycler = recycler
        self._arrays: dict[str, NDArray[Any]] = {}
        self._compressions = {pb.COMPRESSION_NONE, compression}

    def make_room(self) -> None:
        """Takes the memory of the rows, unless that is done; the owner's lock guards it.

        Not before the first chunk is here: what was freed last may still be in the processor's cache.
        """
        if not self._arrays:
            self._arrays = {
                spec.name: self._recycler.empty((self.rows.size, *spec.shape[1:]), spec.dtype) for spec in self._specs
            }

    def place(self, chunk: WireChunk, piece: Piece) -> None:
        """Decodes a chunk into its rows, for which there is room, and compares checksums.

        Raises:
            CorruptChunk: It is not the chunk that was asked for, or not what the server sent.
        """
        start, size = piece.rows.start, piece.rows.size
        expected = Position(*self.position, start, size, self.batch_rows)
        if chunk[:5] != expected:
            names = "epoch, step, first row, rows and rows of the batch"
            raise CorruptChunk(f"a chunk with {names} {chunk[:5]} where {tuple(expected)} is expected")
        if len(chunk.tensors) != len(self._specs):
            raise CorruptChunk(f"a chunk of {len(chunk.tensors)} tensors where {len(self._specs)} are expected")
        first = start - self.rows.start
        digest = new_digest(*self.position, start, size)
        for spec, tensor in zip(self._specs, chunk.tensors, strict=True):
            values = self._arrays[spec.name][first : first + size]
            if (tensor.name, tensor.dtype, tensor.shape) != (spec.name, spec.dtype, values.shape):
                raise CorruptChunk(
                    f"a tensor {tensor.name!r} of {tensor.dtype} {list(tensor.shape)} where {spec.name!r} of "
                    f"{spec.dtype} {list(values.shape)} is expected"
                )
            if tensor.compression not in self._compressions or len(tensor.data) > values.nbytes:
                raise CorruptChunk(f"tensor {tensor.name!r} travels in a way that was not asked for")
            digest.update(summed_header(tensor.name, tensor.dtype, tensor.shape))
            decode(tensor.compression, memoryview(tensor.data), values, spec.paper, digest.update)  # type: ignore[arg-type]
        if digest.intdigest() != chunk.checksum:
            raise CorruptChunk(f"the checksum of epoch {chunk.epoch}, step {chunk.step}, rows {piece.rows} differs")

    def finish(self, cursor: Cursor) -> Batch:
        """The batch, once no row is missing."""
        assert self.missing_rows == 0
        self.make_room()  # for a batch without rows
        return Batch(self._arrays, self.position, cursor, self.rows, self.batch_rows)
