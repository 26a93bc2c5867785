"""The hand-written codec writes and reads what generated code does, and survives any bytes."""

import random
from typing import Any

import numpy as np
import pytest
import xxhash
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from inkstream import wire
from inkstream.chunk_reader import ChunkReader, ExpectedChunks
from inkstream.descriptions import TensorSpec
from inkstream.errors import CorruptChunk
from inkstream.v1 import batch_service_pb2 as pb
from tests.chunk_encoding import encode_chunk

INT31 = st.integers(0, 2**31 - 1)
INT63 = st.integers(0, 2**63 - 1)
FIXED64 = st.integers(0, 2**64 - 1)

TENSORS = st.builds(
    wire.WireTensor,
    name=st.text(max_size=12),
    dtype=st.sampled_from(list(wire.DTYPES.values())),
    shape=st.lists(INT63, max_size=4).map(tuple),
    compression=st.sampled_from([pb.COMPRESSION_NONE, pb.COMPRESSION_SPARSE_WORDS, pb.COMPRESSION_ZSTD]),
    data=st.binary(max_size=300),
)
CHUNKS = st.builds(
    wire.WireChunk,
    epoch=INT63,
    step=INT63,
    first_row=INT31,
    rows=INT31,
    batch_rows=INT31,
    tensors=st.lists(TENSORS, max_size=4).map(tuple),
    checksum=FIXED64,
    blanks=st.lists(FIXED64, max_size=5).map(tuple),
)


def encode(chunk: wire.WireChunk) -> list[bytes]:
    return encode_chunk(*chunk)


def message(chunk: wire.WireChunk) -> pb.Chunk:
    """The chunk as generated code has it."""
    numbers = {dtype: number for number, dtype in wire.DTYPES.items()}
    tensors = [
        pb.Tensor(
            name=tensor.name,
            dtype=numbers[tensor.dtype],
            shape=tensor.shape,
            compression=tensor.compression,
            data=bytes(tensor.data),
        )
        for tensor in chunk.tensors
    ]
    return pb.Chunk(**chunk._replace(tensors=tensors, blanks=list(chunk.blanks))._asdict())


@given(CHUNKS)
def test_generated_code_and_the_codec_read_each_other(chunk: wire.WireChunk) -> None:
    (encoded,) = encode(chunk)
    assert pb.StreamBatchesResponse.FromString(encoded) == pb.StreamBatchesResponse(chunk=message(chunk))
    assert wire.parse_message(pb.StreamBatchesResponse(chunk=message(chunk)).SerializeToString()) == chunk


@given(CHUNKS, st.data())
@settings(max_examples=400)
def test_changed_bytes_are_refused_or_read_as_generated_code_reads_them(chunk: wire.WireChunk, data: Any) -> None:
    encoded = bytearray(encode(chunk)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(encoded)))
        cut = data.draw(st.sampled_from([0, 1, 7]))
        encoded[position : position + cut] = data.draw(st.binary(max_size=3))
    try:
        read = wire.parse_message(bytes(encoded))
    except CorruptChunk:
        return
    response = pb.StreamBatchesResponse.FromString(bytes(encoded))  # a DecodeError fails the test
    if isinstance(read, wire.WireChunk):
        assert message(read) == pb.Chunk.FromString(_known(response.chunk))
    else:
        part = response.part
        assert (read.offset_bytes, read.total_bytes, bytes(read.data)) == (
            part.offset_bytes,
            part.total_bytes,
            part.data,
        )


def _known(chunk: pb.Chunk) -> bytes:
    """Serialized without the unknown fields that a changed byte may have made."""
    copy = pb.Chunk.FromString(chunk.SerializeToString())
    copy.DiscardUnknownFields()
    return copy.SerializeToString()


@given(st.binary(max_size=200))
@settings(max_examples=400)
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    try:
        wire.parse_message(data)
    except CorruptChunk:
        return
    pb.StreamBatchesResponse.FromString(data)


SPECS = st.lists(
    st.builds(
        TensorSpec,
        name=st.text(max_size=12),
        dtype=st.sampled_from(list(wire.DTYPES.values())),
        shape=st.lists(st.integers(0, 300), min_size=1, max_size=4).map(tuple),
    ),
    max_size=4,
)


@given(SPECS, st.data())
@settings(max_examples=300)
def test_chunks_that_look_as_expected_are_read_as_all_others_are(specs: list[TensorSpec], data: Any) -> None:
    """And those that do not are left to the other reader, whichever byte of theirs has changed."""
    asked = data.draw(st.sampled_from([pb.COMPRESSION_NONE, pb.COMPRESSION_SPARSE_WORDS, pb.COMPRESSION_ZSTD]))
    expected = ExpectedChunks(specs, asked)
    position = wire.Position(*(data.draw(numbers) for numbers in (INT63, INT63, INT31, INT31, INT31)))
    tensors = tuple(
        wire.WireTensor(
            spec.name,
            spec.dtype,
            (position.rows, *spec.shape[1:]),
            data.draw(st.sampled_from([pb.COMPRESSION_NONE, asked])),
            data.draw(st.binary(max_size=300)),
        )
        for spec in specs
    )
    chunk = wire.WireChunk(*position, tensors, data.draw(FIXED64), ())
    (encoded,) = encode(chunk)
    assert expected.read(encoded, position) == wire.parse_message(encoded) == chunk
    assert expected.read(encode(chunk._replace(blanks=(1,)))[0], position) is None
    changed = bytearray(encoded)
    at = data.draw(st.integers(0, len(encoded)))
    changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    if (read := expected.read(bytes(changed), position)) is not None:
        assert read == wire.parse_message(bytes(changed))


def test_bytes_that_are_no_message() -> None:
    # A length past the end, a number without an end, field 0.
    for data in (b"\x0a\x05ab", b"\x0a\x02\x08\xff", b"\x02\x00"):
        with pytest.raises(CorruptChunk):
            wire.parse_message(data)
        with pytest.raises(DecodeError):
            pb.StreamBatchesResponse.FromString(data)


def test_bytes_that_no_server_sends() -> None:
    # A group, a number of 10 bytes that passes 64 bits, nothing at all, two chunks, a number where bytes belong.
    for data in (b"\x0b\x0c", b"\x0a\x0b\x08" + b"\xff" * 9 + b"\x7f", b"", b"\x0a\x00\x0a\x00", b"\x0a\x02\x30\x01"):
        with pytest.raises(CorruptChunk):
            wire.parse_message(data)


ANYWHERE = wire.Position(0, 0, 0, 0, 0)


def part_reader(limit_bytes: int = 9 << 20) -> ChunkReader:
    return ChunkReader(ExpectedChunks((), pb.COMPRESSION_NONE), limit_bytes)


@pytest.fixture(scope="module")
def large() -> wire.WireChunk:
    """A chunk of 8 MB, as a large row makes it."""
    values = np.random.default_rng(0).integers(0, 256, (1, 1280, 2200, 3), np.uint8)
    tensor = wire.WireTensor("image", values.dtype, values.shape, pb.COMPRESSION_NONE, values)
    return wire.WireChunk(1, 2, 3, 1, 9, (tensor,), 77, (5,))


def test_large_chunks_travel_in_parts_below_what_grpc_allows(large: wire.WireChunk) -> None:
    messages = encode(large)
    assert len(messages) == 3
    assert max(map(len, messages)) < 4 << 20
    parts = [pb.StreamBatchesResponse.FromString(each).part for each in messages]
    assert (
        b"".join(part.data for part in parts) == message(large._replace(tensors=_as_bytes(large))).SerializeToString()
    )
    reader = part_reader()
    *none, whole = [reader.read(each, ANYWHERE) for each in messages]
    assert none == [None, None]
    assert whole == large._replace(tensors=_as_bytes(large))


def _as_bytes(chunk: wire.WireChunk) -> tuple[wire.WireTensor, ...]:
    return tuple(tensor._replace(data=np.asarray(tensor.data).tobytes()) for tensor in chunk.tensors)


def test_a_chunk_of_just_3_mib_travels_whole() -> None:
    tensor = wire.WireTensor("image", np.dtype("u1"), (1,), pb.COMPRESSION_NONE, b"")
    header = len(encode(wire.WireChunk(0, 0, 0, 1, 1, (tensor._replace(data=bytes(3_000_000)),), 1, ()))[0]) - 3_000_000
    whole = wire.PART_BYTES - (header - 5)  # less the key and length of the chunk in its message
    for size, count in ((whole, 1), (whole + 1, 2)):
        assert len(encode(wire.WireChunk(0, 0, 0, 1, 1, (tensor._replace(data=bytes(size)),), 1, ()))) == count


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 0, 1], [0, 2], [1]])
def test_parts_must_follow_each_other(large: wire.WireChunk, order: list[int]) -> None:
    messages, reader = encode(large), part_reader()
    with pytest.raises(CorruptChunk, match="does not continue"):
        for index in order:
            reader.read(messages[index], ANYWHERE)


def test_a_chunk_must_not_interrupt_parts(large: wire.WireChunk) -> None:
    reader = part_reader()
    reader.read(encode(large)[0], ANYWHERE)
    with pytest.raises(CorruptChunk, match="parts of another are missing"):
        reader.read(encode(large._replace(tensors=()))[0], ANYWHERE)


def test_a_part_cannot_make_the_client_allocate_more_than_it_expects() -> None:
    part = pb.StreamBatchesResponse(part=pb.ChunkPart(total_bytes=1 << 60, data=b"x"))
    with pytest.raises(CorruptChunk, match="at most 1,000"):
        part_reader(limit_bytes=1000).read(part.SerializeToString(), ANYWHERE)


def test_checksum_covers_position_names_types_shapes_and_values() -> None:
    values = {"a": np.arange(6, dtype="<i4").reshape(2, 3), "b": np.array([7], "<u8")}
    expected = wire.checksum(1, 2, 3, 2, values)
    others = [
        wire.checksum(0, 2, 3, 2, values),
        wire.checksum(1, 0, 3, 2, values),
        wire.checksum(1, 2, 0, 2, values),
        wire.checksum(1, 2, 3, 0, values),
        wire.checksum(1, 2, 3, 2, {"A": values["a"], "b": values["b"]}),
        wire.checksum(1, 2, 3, 2, {"b": values["b"], "a": values["a"]}),
        wire.checksum(1, 2, 3, 2, {"a": values["a"].reshape(3, 2), "b": values["b"]}),
        wire.checksum(1, 2, 3, 2, {"a": values["a"].view("<f4"), "b": values["b"]}),
        wire.checksum(1, 2, 3, 2, {"a": values["a"] + 1, "b": values["b"]}),
    ]
    assert expected not in others and len(set(others)) == len(others)


def test_checksum_is_that_of_the_contract() -> None:
    """From the bytes that docs/contract.md gives as its example; clients in other languages rely on it."""
    values = {"label": np.array([1, -1], "<i4")}
    contract = "01000000000000000200000000000000030000000200000005000000" + "6c6162656c" + "0200000001000000"
    contract += "0200000000000000" + "01000000ffffffff"
    assert wire.checksum(1, 2, 3, 2, values) == xxhash.xxh3_64_intdigest(bytes.fromhex(contract)) == 5200111113647370653


def test_encoding_takes_arrays_and_empty_tensors() -> None:
    values = np.array([[1, 2], [3, 4]], "<u8")
    empty = np.zeros((2, 0), np.uint8)
    tensors = [
        wire.WireTensor("key_id", values.dtype, values.shape, pb.COMPRESSION_NONE, values),
        wire.WireTensor("none", empty.dtype, empty.shape, pb.COMPRESSION_NONE, empty),
    ]
    (encoded,) = encode_chunk(0, 0, 0, 2, 2, tensors, 5)
    chunk = pb.StreamBatchesResponse.FromString(encoded).chunk
    assert [tensor.data for tensor in chunk.tensors] == [values.tobytes(), b""]


def test_fields_of_a_newer_server_are_skipped() -> None:
    response = pb.StreamBatchesResponse(chunk=pb.Chunk(rows=1, tensors=[pb.Tensor(dtype=1, compression=1)]))
    expected = wire.parse_message(response.SerializeToString())
    for message in (response, response.chunk, response.chunk.tensors[0]):
        message.MergeFromString(b"\xf8\x07\x01\xfa\x07\x02ab\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4))
    assert wire.parse_message(response.SerializeToString()) == expected


def test_payloads_are_views_of_the_message() -> None:
    rng = random.Random(0)
    tensor = wire.WireTensor("image", np.dtype("u1"), (9,), pb.COMPRESSION_NONE, rng.randbytes(1000))
    (encoded,) = encode_chunk(0, 0, 0, 9, 9, [tensor], 5)
    read = wire.parse_message(encoded)
    assert isinstance(read, wire.WireChunk)
    assert isinstance(read.tensors[0].data, memoryview) and read.tensors[0].data.obj is encoded
