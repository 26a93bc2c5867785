"""Fields of serialized protobuf messages (https://protobuf.dev/programming-guides/encoding/), to and from bytes.

As much of the format as the contract needs, and stricter than generated code where a server never sends what that would
take: numbers out of range, groups, fields of another wire type.
"""

import functools
import struct
from collections.abc import Iterator
from typing import TypeAlias

from inkstream.errors import CorruptChunk

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types

# What a field holds: a number, the 4 or 8 bytes of a fixed one, or a view of as many bytes as it says.
Value: TypeAlias = int | bytes | memoryview


def varint(value: int) -> bytes:
    """A number of any size, 7 bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


@functools.lru_cache(4096)  # rows, and steps of which a batch's chunks are
def number_field(field: int, value: int) -> bytes:
    """A field of wire type 0; protobuf leaves out zeros."""
    return varint(field << 3) + varint(value) if value else b""


def read_fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: an int (varint), 4 or 8 bytes (fixed), or a view (length-delimited)."""
    position, end = 0, len(data)
    while position < end:
        if (key := data[position]) < 0x80:  # as nearly all are, and a call for each would take most of the time
            position += 1
        else:
            key, position = read_varint(data, position)
        number, wire_type = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise CorruptChunk(f"field number {number} at byte {position:,} is out of range")
        if wire_type == _VARINT:
            value, position = read_varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = read_varint(data, position)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise CorruptChunk(f"wire type {wire_type} at byte {position:,} is not in use")
        if size > end - position:
            raise CorruptChunk(f"field {number} of {size:,} bytes at byte {position:,} passes the end at {end:,}")
        span = data[position : position + size]
        position += size
        yield number, span if wire_type == _BYTES else bytes(span)


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """An unsigned number of at most 64 bits, and where the next field begins.

    Raises:
        CorruptChunk: It has no end, or passes 64 bits.
    """
    if position < len(data) and data[position] < 0x80:  # most numbers have one byte
        return data[position], position + 1
    value = shift = 0
    for byte in data[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value, position
        shift += 7
    raise CorruptChunk(f"a number before byte {position:,} has no end or passes 64 bits")


def natural(value: Value, bits: int) -> int:
    """A number from 0 to 2**bits - 1."""
    if not isinstance(value, int) or value >> bits:
        raise CorruptChunk(f"a number from 0 to 2**{bits} - 1 is expected")
    return value


def span(value: Value) -> memoryview:
    """The bytes of a field with a length."""
    if not isinstance(value, memoryview):
        raise CorruptChunk("a field with a length is expected")
    return value


def naturals(value: Value) -> list[int]:
    """Numbers from 0 to 2**63 - 1 of a repeated field: packed, or a single one."""
    if not isinstance(value, memoryview):
        return [natural(value, 63)]
    numbers, position = [], 0
    while position < len(value):
        number, position = read_varint(value, position)
        numbers.append(natural(number, 63))
    return numbers


def fixed64s(value: Value, packed: bool = True) -> list[int]:
    """Numbers of 8 bytes: a single one, or where `packed` allows it those of a repeated field."""
    allowed = isinstance(value, bytes) or (packed and isinstance(value, memoryview))
    if isinstance(value, int) or not allowed or not len(value) or len(value) % 8:
        raise CorruptChunk("numbers of 8 bytes are expected")
    return list(struct.unpack(f"<{len(value) // 8}Q", value))
