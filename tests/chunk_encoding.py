"""Chunks whose payloads are at hand, to messages."""

from collections.abc import Sequence

import numpy as np

from inkstream.frame import ChunkFrame, Payload
from inkstream.wire import WireTensor, flat


def encode_chunk(
    epoch: int,
    step: int,
    first_row: int,
    rows: int,
    batch_rows: int,
    tensors: Sequence[WireTensor],
    checksum: int,
    blanks: Sequence[int] = (),
) -> list[bytes]:
    """The messages of a chunk."""
    data = [np.frombuffer(flat(tensor.data), np.uint8) for tensor in tensors]
    payloads = [Payload(*tensor[:4], len(bytes_)) for tensor, bytes_ in zip(tensors, data, strict=True)]
    frame = ChunkFrame(epoch, step, first_row, rows, batch_rows, payloads, blanks)
    for room, bytes_ in zip(frame.room, data, strict=True):
        room[:] = bytes_
    return frame.messages(checksum)
