"""One chunk, from its position to the messages that carry it. Runs in render threads."""

import threading
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from batch_server.batches import BatchMaker, TensorSpec, tensor_specs
from batch_server.serving.sparse_words import encode_sparse_words
from inkstream.chunking import Span
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import WireTensor, checksum, encode_chunk

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
    chunk = maker.chunk(epoch, step, rows, blank_rotten=blank_rotten)
    return encode_chunk(
        epoch,
        step,
        rows.start,
        rows.size,
        maker.epoch_plan.batch_rows(step),
        [_wire_tensor(spec, chunk.tensors[spec.name], compression) for spec in tensor_specs(maker.pipeline.render)],
        checksum(epoch, step, rows.start, rows.size, chunk.tensors),
        chunk.blanks,
    )


def _wire_tensor(spec: TensorSpec, values: NDArray[Any], compression: int) -> WireTensor:
    """The tensor, compressed if it is one of pictures and if that shrinks it."""
    if spec.paper and compression != pb.COMPRESSION_NONE:
        data = _compress(values, compression, spec.paper)
        if len(data) < values.nbytes:
            return WireTensor(spec.name, spec.dtype, values.shape, compression, data)
    return WireTensor(spec.name, spec.dtype, values.shape, pb.COMPRESSION_NONE, values)


def _compress(values: NDArray[np.uint8], compression: int, paper: bytes) -> bytes | NDArray[np.uint8]:
    """The encoded bytes, one-dimensional."""
    if compression == pb.COMPRESSION_SPARSE_WORDS:
        return encode_sparse_words(values, paper)
    assert compression == pb.COMPRESSION_ZSTD
    return _zstd().compress(values.reshape(-1).data)


def _zstd() -> zstandard.ZstdCompressor:
    """A compressor of this thread's own: they hold state."""
    if not hasattr(_thread, "zstd"):
        _thread.zstd = zstandard.ZstdCompressor(_ZSTD_LEVEL)
    compressor: zstandard.ZstdCompressor = _thread.zstd
    return compressor
