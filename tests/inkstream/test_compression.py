"""Decoders give back what was encoded, and refuse everything else without touching memory that is not theirs."""

import sys
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from inkstream.compression import COMPRESSIONS, compression_number, decode
from inkstream.errors import CorruptChunk, InvalidRequest
from inkstream.v1 import batch_service_pb2 as pb

GUARD = 0xA5


def decoded(compression: int, payload: bytes, size: int, paper: bytes = b"") -> bytes:
    """What is decoded into `size` bytes; fails where the bytes around them change."""
    memory = np.full(size + 32, GUARD, np.uint8)
    decode(compression, memoryview(payload), memory[16 : 16 + size], paper)
    assert set(memory[:16]) == {GUARD} and set(memory[16 + size :]) == {GUARD}
    return memory[16 : 16 + size].tobytes()


@st.composite
def pictures(draw: Any) -> tuple[bytes, bytes]:
    """A paper pixel, and whole pixels of which most are paper."""
    paper = draw(st.sampled_from([b"", b"\0", b"\xff", b"\xff\xff\xff", b"\1\2\3", b"\7\0\0\7"]))
    pixels = draw(st.integers(0, 4000))
    values = np.frombuffer((paper or b"\0") * pixels, np.uint8).copy()
    for _ in range(draw(st.integers(0, 12)) if values.size else 0):
        first = draw(st.integers(0, values.size - 1))
        values[first : first + draw(st.integers(1, 40))] = draw(st.integers(0, 255))
    return values.tobytes(), paper


@given(picture=pictures())
def test_sparse_words_come_back(sparse_encoder: Any, picture: tuple[bytes, bytes]) -> None:
    values, paper = picture
    encoded = sparse_encoder(values, paper)
    assert decoded(pb.COMPRESSION_SPARSE_WORDS, encoded, len(values), paper) == values


@given(picture=pictures(), data=st.data())
@settings(max_examples=300)
def test_changed_sparse_words_are_refused_or_stay_in_bounds(
    sparse_encoder: Any, picture: tuple[bytes, bytes], data: Any
) -> None:
    values, paper = picture
    encoded = bytearray(sparse_encoder(values, paper))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(encoded)))
        encoded[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        assert len(decoded(pb.COMPRESSION_SPARSE_WORDS, bytes(encoded), len(values), paper)) == len(values)
    except CorruptChunk:
        pass


WORD = b"12345678"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\1\0\0",
        b"\1\0\0\0\1" + WORD,  # without the tail
        b"\1\0\0\0\1" + WORD + b"tai" + b"more",
        b"\1\0\0\0\0" + WORD + b"tai",  # a gap of 0
        b"\1\0\0\0\4" + WORD + b"tai",  # the fourth word of three
        b"\2\0\0\0\1\0" + 2 * WORD + b"tai",
        b"\xff\xff\xff\xff\1" + WORD + b"tai",
    ],
)
def test_sparse_words_that_are_none(payload: bytes) -> None:
    with pytest.raises(CorruptChunk):
        decoded(pb.COMPRESSION_SPARSE_WORDS, payload, 27)


def test_sparse_words_by_hand() -> None:
    """The example of docs/contract.md: 3 words and 3 bytes of paper 255, the last word and the last byte differ."""
    payload = b"\1\0\0\0" + b"\3" + WORD + b"\xff\xff9"
    assert decoded(pb.COMPRESSION_SPARSE_WORDS, payload, 27, b"\xff") == b"\xff" * 16 + WORD + b"\xff\xff9"


@given(st.binary(max_size=3000), st.integers(0, 22))
def test_zstd_comes_back(values: bytes, level: int) -> None:
    payload = zstandard.ZstdCompressor(level).compress(values)
    assert decoded(pb.COMPRESSION_ZSTD, payload, len(values)) == values


@pytest.mark.parametrize("size", [999, 1001])
def test_zstd_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(CorruptChunk, match="zstd"):
        decoded(pb.COMPRESSION_ZSTD, zstandard.ZstdCompressor().compress(bytes(1000)), size)


@pytest.mark.parametrize("payload", [b"", b"nonsense", zstandard.ZstdCompressor().compress(bytes(1000))[:-3]])
def test_zstd_that_is_none(payload: bytes) -> None:
    with pytest.raises(CorruptChunk, match="zstd"):
        decoded(pb.COMPRESSION_ZSTD, payload, 1000)


def test_a_zstd_bomb_fills_the_tensor_and_no_more() -> None:
    with pytest.raises(CorruptChunk, match="more than"):
        decoded(pb.COMPRESSION_ZSTD, zstandard.ZstdCompressor().compress(bytes(100 << 20)), 1000)


@pytest.mark.parametrize("size", [0, 1, 8])
def test_uncompressed_must_have_its_size(size: int) -> None:
    assert decoded(pb.COMPRESSION_NONE, bytes(size), size) == bytes(size)
    for other in (size + 1, max(0, size - 1)):
        if other != size:
            with pytest.raises(CorruptChunk):
                decoded(pb.COMPRESSION_NONE, bytes(other), size)


def test_names() -> None:
    assert {name: compression_number(name) for name in COMPRESSIONS} == {"none": 1, "sparse": 2, "zstd": 3}
    for name in ("lz4", "", None, 2, ["none"]):
        with pytest.raises(InvalidRequest, match="must be one of none, sparse, zstd"):
            compression_number(name)  # type: ignore[arg-type]


def test_zstd_is_offered_only_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'inkstream\[zstd\]'"):
        compression_number("zstd")
