"""The messages of one stream to chunks: those in parts are put together, those that look as expected are read fast.

A client knows before a chunk comes all that is in it but the payloads, and a server writes the same fields in the same
order each time. So they are compared with bytes that are at hand, which takes a fifth of the calls of reading them.
Whatever looks otherwise is left to `wire.py`, which says what is wrong with it, or that nothing is.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from inkstream.descriptions import TensorSpec
from inkstream.errors import CorruptChunk
from inkstream.frame import position_fields, tensor_fields
from inkstream.protobuf_fields import read_varint
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import Position, WireChunk, WirePart, WireTensor, parse_chunk, parse_message

_CHUNK, _TENSOR, _CHECKSUM = b"\x0a", b"\x32", b"\x39"  # keys of fields: their number and wire type
_CHECKSUM_BYTES = 1 + 8


class _Form(NamedTuple):
    """A tensor but for its payload: its fields up to the payload's size, and what they say."""

    fields: bytes
    meaning: tuple[str, np.dtype[Any], tuple[int, ...], int]


class ExpectedChunks:
    """The chunks of one stream.

    Args:
        specs: Of the tensors, in the order of the contract.
        compression: What was asked for.
    """

    def __init__(self, specs: Sequence[TensorSpec], compression: int):
        self._specs = specs
        self._compressions = tuple({compression, pb.COMPRESSION_NONE})
        self._forms = functools.lru_cache(8)(self._forms_of)  # chunks have two or three different sizes

    def read(self, message: bytes, position: Position) -> WireChunk | None:
        """The chunk in a StreamBatchesResponse; None if it does not look as expected. Payloads are views of `message`.

        Args:
            message: The bytes.
            position: Of the chunk.
        """
        try:
            return self._read(message, position)
        except CorruptChunk:
            return None

    def _read(self, message: bytes, position: Position) -> WireChunk | None:
        view, expected, tensors = memoryview(message), position_fields(*position), []
        size, at = read_varint(view, 1)
        if not message.startswith(_CHUNK) or at + size != len(message) or not message.startswith(expected, at):
            return None
        at += len(expected)
        for forms in self._forms(position.rows):
            if not message.startswith(_TENSOR, at):
                return None
            size, at = read_varint(view, at + 1)
            end = at + size
            found = next((form for form in forms if message.startswith(form.fields, at)), None)
            if found is None:
                return None
            size, at = read_varint(view, at + len(found.fields))
            if at + size != end or end > len(message):
                return None
            tensors.append(WireTensor(*found.meaning, view[at:end]))
            at = end
        if at + _CHECKSUM_BYTES != len(message) or not message.startswith(_CHECKSUM, at):
            return None
        return WireChunk(*position, tuple(tensors), int.from_bytes(message[at + 1 :], "little"), ())

    def _forms_of(self, rows: int) -> list[list[_Form]]:
        """In which forms each tensor may come."""
        return [
            [
                _Form(tensor_fields(*meaning), meaning)
                for number in self._compressions
                for meaning in [(spec.name, spec.dtype, (rows, *spec.shape[1:]), number)]
            ]
            for spec in self._specs
        ]


class ChunkReader:
    """Reads the messages of one stream, putting chunks that travel in parts together.

    Args:
        expected: How they look that come whole.
        limit_bytes: Largest serialized chunk to expect; nothing larger is allocated.
    """

    def __init__(self, expected: ExpectedChunks, limit_bytes: int):
        self._expected = expected
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._filled = 0

    def read(self, message: bytes, position: Position) -> WireChunk | None:
        """The chunk that a message holds or completes, or None where parts are still to come.

        Args:
            message: The bytes of a StreamBatchesResponse.
            position: Of the chunk that is expected; it may turn out to be another.

        Raises:
            CorruptChunk: The bytes break the wire format or the contract, or a part does not continue the chunk.
        """
        if not self._buffer and (chunk := self._expected.read(message, position)) is not None:
            return chunk
        read = parse_message(message)
        if isinstance(read, WirePart):
            return self._join(read)
        if self._buffer:
            raise CorruptChunk("a chunk begins where parts of another are missing")
        return read

    def _join(self, part: WirePart) -> WireChunk | None:
        if not self._buffer:
            if not 0 < part.total_bytes <= self._limit_bytes:
                raise CorruptChunk(f"a chunk of {part.total_bytes:,} bytes where at most {self._limit_bytes:,} can be")
            self._buffer, self._filled = bytearray(part.total_bytes), 0
        total, end = len(self._buffer), self._filled + len(part.data)
        if part.offset_bytes != self._filled or part.total_bytes != total or not self._filled < end <= total:
            raise CorruptChunk(
                f"a part of {len(part.data):,} bytes at {part.offset_bytes:,} of {part.total_bytes:,} does not "
                f"continue a chunk of which {self._filled:,} of {total:,} bytes are here"
            )
        self._buffer[self._filled : end] = part.data
        self._filled = end
        if end < total:
            return None
        whole, self._buffer = memoryview(self._buffer).toreadonly(), bytearray()
        return parse_chunk(whole)
