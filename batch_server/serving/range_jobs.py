"""A range as chunks: where each begins and ends, how it is made and what that takes."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from batch_server.batches import BatchMaker, tensor_specs
from batch_server.serving.chunk_cache import ChunkKey, Job
from batch_server.serving.chunks import chunk_messages
from batch_server.serving.requests import RangeRequest
from inkstream.chunking import Span
from inkstream.pipeline import Pipeline
from inkstream.plan import Cell, Plan
from inkstream.v1 import batch_service_pb2 as pb

# What a row takes beside its tensors while it is drawn: its packed record, 130 bytes for an average drawing.
_RECORD_BYTES = 256

# Makes the messages of one chunk.
Make = Callable[[], list[bytes]]


def plan_of(maker: BatchMaker, request: RangeRequest) -> Plan:
    """Where the range's batches, shards and chunks begin and end."""
    pipeline = maker.pipeline
    row_bytes = [spec.dtype.itemsize * math.prod(spec.row_shape) for spec in tensor_specs(pipeline.render)]
    return Plan(
        batch_size=pipeline.batch_size,
        samples=maker.epoch_plan.samples,
        steps_per_epoch=maker.epoch_plan.steps_per_epoch,
        short=pipeline.remainder == "short",
        shard=request.shard,
        image_row_bytes=row_bytes[0],
        row_bytes=sum(row_bytes),
        compressed=request.compression != pb.COMPRESSION_NONE,
    )


class Piece(NamedTuple):
    """One chunk of a range.

    Attributes:
        step: From 0.
        rows: Of the global batch.
        ends_batch: Whether its shard has no more of that batch.
    """

    step: int
    rows: Span
    ends_batch: bool


def pieces_of(plan: Plan, request: RangeRequest) -> Iterator[Piece]:
    """The chunks of a range, in order; there may be millions, so step by step."""
    for step in range(request.first_step, request.first_step + request.steps):
        pieces = plan.pieces(Cell(request.epoch, Span(step, step + 1)))
        end = request.first_chunk + request.chunks if request.chunks else len(pieces)
        for number in range(request.first_chunk, end):
            yield Piece(step, pieces[number].rows, number == len(pieces) - 1)


def jobs_of(
    maker: BatchMaker,
    plan: Plan,
    request: RangeRequest,
    pieces: Iterable[Piece],
    measured: Callable[[int, Make], Make],
    ask_ahead: Callable[[BatchMaker, int, int, Span], None],
) -> Iterator[Job]:
    """A job for each chunk of the range, in order.

    Args:
        maker: Of the pipeline's chunks.
        plan: Of the range.
        request: The range.
        pieces: Its chunks.
        measured: Wraps what makes a chunk of so many rows, to count what it costs.
        ask_ahead: Told of each chunk before its job is handed out: what it reads should be in memory by then.
    """
    dataset = maker.dataset.name
    for step, rows, _ in pieces:
        ask_ahead(maker, request.epoch, step, rows)
        key = ChunkKey(
            request.digest,
            dataset,
            request.epoch,
            step,
            rows,
            request.compression,
            request.blank_rotten,
        )
        make = partial(
            chunk_messages, maker, request.epoch, step, rows, request.compression, blank_rotten=request.blank_rotten
        )
        yield Job(key, _peak_bytes(maker.pipeline, plan, rows.size), measured(rows.size, make))


def _peak_bytes(pipeline: Pipeline, plan: Plan, rows: int) -> int:
    """Most memory that making a chunk takes: tensors, their encoding, records, and a picture before it is cropped."""
    crop = pipeline.augment.crop if pipeline.augment else 0.0
    canvas_bytes = plan.image_row_bytes / (1 - crop) ** 2 if crop else 0
    return 2 * rows * (plan.row_bytes + _RECORD_BYTES) + round(canvas_bytes)
