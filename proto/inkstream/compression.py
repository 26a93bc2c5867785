"""How images travel, and the decoders: straight into the rows of a batch that is being filled.

`sparse words`, the default, keeps the 8-byte words that differ from paper: lossless, about four times smaller for
drawings, and decoded by one running sum and an indexed store. The format is described in the contract at Compression.

A batch is larger than a processor's cache, and what goes through memory once more costs as much as decoding it. So
tensors are filled stretch by stretch, and whoever wants to read what is there, to sum it up, is told of each at once.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inkstream.errors import CorruptChunk, InvalidRequest
from inkstream.v1 import batch_service_pb2 as pb

# Numbers on the wire by the names that users type.
COMPRESSIONS: dict[str, pb.Compression] = {
    "none": pb.COMPRESSION_NONE,
    "sparse": pb.COMPRESSION_SPARSE_WORDS,
    "zstd": pb.COMPRESSION_ZSTD,
}
DEFAULT_COMPRESSION = "sparse"

# A stretch is about this long: half of the second-level cache of most processors.
_STRETCH_BYTES = 256 << 10

# Told of each stretch of a tensor, in order, when it is filled.
Filled: TypeAlias = Callable[[NDArray[np.uint8]], object]
_Decoder: TypeAlias = Callable[[memoryview, NDArray[np.uint8], bytes, Filled], None]


def compression_number(name: str) -> pb.Compression:
    """The number of a compression that this client can decode.

    Args:
        name: `none`, `sparse` or `zstd`.

    Raises:
        InvalidRequest: There is no such compression, or its decoder is not installed.
    """
    if not isinstance(name, str) or name not in COMPRESSIONS:
        raise InvalidRequest(f"compression must be one of {', '.join(COMPRESSIONS)}, got {name!r}")
    if name == "zstd" and find_spec("zstandard") is None:
        raise InvalidRequest("compression='zstd' needs the package zstandard: pip install 'inkstream[zstd]'")
    return COMPRESSIONS[name]


def decode(
    compression: int, data: memoryview, values: NDArray[Any], paper: bytes, filled: Filled = lambda stretch: None
) -> None:
    """Decodes the payload of a tensor.

    Args:
        compression: How it is encoded, a number on the wire.
        data: The payload.
        values: Where it belongs, C-contiguous; overwritten, also where the payload turns out to be corrupt.
        paper: Values of one pixel of the background; zeros where empty.
        filled: Told of each stretch of `values`, as bytes and in order, while it is in the processor's cache.

    Raises:
        CorruptChunk: The payload does not have exactly this tensor's size, or breaks its format.
    """
    _DECODERS[compression](data, values.reshape(-1).view(np.uint8), paper, filled)


def _decode_none(data: memoryview, flat: NDArray[np.uint8], paper: bytes, filled: Filled) -> None:
    if len(data) != flat.size:
        raise CorruptChunk(f"a tensor of {len(data):,} bytes where {flat.size:,} are expected")
    source = np.frombuffer(data, np.uint8)
    for first in range(0, flat.size, _STRETCH_BYTES):
        stretch = flat[first : first + _STRETCH_BYTES]
        stretch[:] = source[first : first + _STRETCH_BYTES]
        filled(stretch)


def _decode_sparse_words(data: memoryview, flat: NDArray[np.uint8], paper: bytes, filled: Filled) -> None:
    whole, tail = flat.size // 8, flat.size % 8
    count = int.from_bytes(data[:4], "little")
    if len(data) != 4 + 9 * count + tail:
        raise CorruptChunk(f"sparse words: {len(data):,} bytes do not hold {count:,} words and {tail} bytes")
    gaps = np.frombuffer(data, np.uint8, count, 4)
    positions = gaps.astype(np.intp)
    positions[:1] -= 1  # the gap before the first word counts from 1
    positions.cumsum(out=positions)
    if count and (positions[-1] >= whole or not gaps.all()):
        raise CorruptChunk(f"sparse words: gaps of 0, or word {positions[-1]:,} of {whole:,}")
    words = np.frombuffer(data, "<u8", count, 4 + count)
    places = flat[: 8 * whole].view("<u8")
    pixel = max(1, len(paper))
    length = pixel * max(1, _STRETCH_BYTES // (8 * pixel))  # words of a stretch: whole pixels
    ends = range(length, -(-flat.size // 8) + length, length)
    start = 0
    for end, stop in zip(ends, positions.searchsorted(ends).tolist(), strict=True):
        stretch = flat[8 * (end - length) : 8 * end]
        _fill(stretch, paper)
        places[positions[start:stop]] = words[start:stop].copy()  # aligned: five times as fast to store from
        if stretch.size % 8:  # the last one
            stretch[-tail:] = np.frombuffer(data, np.uint8, tail, 4 + 9 * count)
        filled(stretch)
        start = stop


def _decode_zstd(data: memoryview, flat: NDArray[np.uint8], paper: bytes, filled: Filled) -> None:
    import zstandard  # an optional dependency: compression_number has made sure of it

    try:
        # Reads into the batch and no further, whatever size the frame claims.
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            first = 0
            while first < flat.size and (got := reader.readinto(flat[first : first + _STRETCH_BYTES].data)):
                filled(flat[first : first + got])
                first += got
            more = bool(reader.read(1))
    except zstandard.ZstdError as error:
        raise CorruptChunk(f"zstd: {error}") from error
    if first < flat.size or more:
        raise CorruptChunk(f"zstd: {'more than' if more else f'{first:,} of'} the {flat.size:,} bytes of a tensor")


def _fill(flat: NDArray[np.uint8], paper: bytes) -> None:
    """Repeats a pixel over all bytes, which hold whole pixels."""
    if len(set(paper)) <= 1:  # the usual paper has one value for all channels, and then this is memset
        flat.fill(paper[0] if paper else 0)
    else:
        flat.reshape(-1, len(paper))[:] = np.frombuffer(paper, np.uint8)


_DECODERS: dict[int, _Decoder] = {
    pb.COMPRESSION_NONE: _decode_none,
    pb.COMPRESSION_SPARSE_WORDS: _decode_sparse_words,
    pb.COMPRESSION_ZSTD: _decode_zstd,
}
