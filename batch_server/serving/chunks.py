"""One chunk, from its position to the messages that carry it. Runs in render threads."""

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from batch_server.batches import BatchMaker, TensorSpec, tensor_specs
from batch_server.serving.scratch import scratch
from batch_server.serving.sparse_words import encode_sparse_words
from inkstream.chunking import Span
from inkstream.frame import ChunkFrame, Payload
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import checksum

# The fastest: a higher level shrinks drawings little more, and drawing itself takes 4 microseconds.
_ZSTD_LEVEL = 1

_thread = threading.local()


def chunk_messages(
    maker: BatchMaker, epoch: int, step: int, rows: Span, compression: int, *, blank_rotten: bool
) -> list[bytes]:
    """Draws a chunk and serializes it.

    Args:
        maker: Of the pipeline's chunks.
        epoch: From 0.
        step: Within the epoch.
        rows: Of the global batch, at least one.
        compression: How images travel, a number of the contract's Compression.
        blank_rotten: Whether a rotten record gives a row of paper instead of an error.

    Returns:
        Serialized StreamBatchesResponse messages, each below 4 MiB.

    Raises:
        RottenRecord: A record does not match its checksum, and blanks were not asked for.
        RottenColumn: A column does not match its checksum.
    """
    position = (epoch, step, rows.start, rows.size, maker.epoch_plan.batch_rows(step))
    specs = tensor_specs(maker.pipeline.render)
    image, *others = (_raw(spec, rows.size) for spec in specs)
    if compression == pb.COMPRESSION_NONE and not blank_rotten:  # all sizes are known: it is drawn where it will travel
        frame = ChunkFrame(*position, (image, *others))
        chunk = maker.chunk(epoch, step, rows, image=frame.room[0].reshape(image.shape))
    else:
        canvas = scratch("image", image.size_bytes).reshape(image.shape)
        chunk = maker.chunk(epoch, step, rows, blank_rotten=blank_rotten, image=canvas)
        encoding = _encode(chunk.image, compression, specs[0].paper)
        image = image._replace(compression=encoding.compression, size_bytes=encoding.size_bytes)
        frame = ChunkFrame(*position, (image, *others), chunk.blanks)
        encoding.write(frame.room[0])
    for payload, room in zip(others, frame.room[1:], strict=True):
        room[:] = chunk.tensors[payload.name].view(np.uint8)
    return frame.messages(checksum(epoch, step, rows.start, rows.size, chunk.tensors))


class _Encoding(NamedTuple):
    """A tensor that is ready to be written.

    Attributes:
        compression: How it travels.
        size_bytes: What it takes on the wire.
        write: Writes that many bytes.
    """

    compression: int
    size_bytes: int
    write: Callable[[NDArray[np.uint8]], None]


def _raw(spec: TensorSpec, rows: int) -> Payload:
    """A tensor as it is."""
    shape = (rows, *spec.row_shape)
    return Payload(spec.name, spec.dtype, shape, pb.COMPRESSION_NONE, spec.dtype.itemsize * math.prod(shape))


def _encode(image: NDArray[np.uint8], compression: int, paper: bytes) -> _Encoding:
    """Pictures as they travel: compressed if that shrinks them."""
    if compression == pb.COMPRESSION_SPARSE_WORDS:
        words = encode_sparse_words(image, paper)
        encoding = _Encoding(compression, words.size_bytes, words.write)
    else:
        data = _zstd().compress(image.reshape(-1).data) if compression == pb.COMPRESSION_ZSTD else image.reshape(-1)
        encoding = _Encoding(compression, len(data), partial(_copy, data))
    if encoding.size_bytes < image.nbytes:
        return encoding
    return _Encoding(pb.COMPRESSION_NONE, image.nbytes, partial(_copy, image.reshape(-1)))


def _copy(data: bytes | NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    out[:] = np.frombuffer(data, np.uint8)


def _zstd() -> zstandard.ZstdCompressor:
    """A compressor of this thread's own: they hold state."""
    if not hasattr(_thread, "zstd"):
        _thread.zstd = zstandard.ZstdCompressor(_ZSTD_LEVEL)
    compressor: zstandard.ZstdCompressor = _thread.zstd
    return compressor
