"""What a client asks for, checked: requests in, plain values out, every broken rule named."""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from batch_server.serving.errors import InvalidField
from inkstream.chunking import Span
from inkstream.descriptions import RendererInfo, renderer_info
from inkstream.errors import InvalidPipeline, Violation
from inkstream.messages import from_message
from inkstream.pipeline import MAX_BATCH_SIZE, Pipeline
from inkstream.plan import Cell, Plan
from inkstream.v1 import batch_service_pb2 as pb

_Request = TypeVar("_Request", bound=Message)

_COMPRESSIONS = {
    pb.COMPRESSION_UNSPECIFIED: pb.COMPRESSION_NONE,
    pb.COMPRESSION_NONE: pb.COMPRESSION_NONE,
    pb.COMPRESSION_SPARSE_WORDS: pb.COMPRESSION_SPARSE_WORDS,
    pb.COMPRESSION_ZSTD: pb.COMPRESSION_ZSTD,
}
_ROTTEN_RECORDS = {
    pb.ROTTEN_RECORD_UNSPECIFIED: False,
    pb.ROTTEN_RECORD_FAIL: False,
    pb.ROTTEN_RECORD_BLANK: True,
}
# Pipelines are kept for the next range of their stream: all but those with the largest filters, so that it is 1 MiB.
_KEPT_PIPELINES = 64
_KEPT_PIPELINE_BYTES = 16 << 10

# A server that is asked for nonsense answers with a few of the broken rules, not with thousands.
_MAX_UNKNOWN_FIELDS = 8


class RangeRequest(NamedTuple):
    """One range of steps.

    Attributes:
        pipeline: What batches hold.
        digest: That the client resolved.
        fingerprint: That the client resolved.
        shard: Index and count.
        epoch: From 0.
        first_step: From 0.
        steps: At least 1.
        first_chunk: From 0; above only with one step.
        chunks: 0 for all from `first_chunk` on; above only with one step.
        compression: A number of the contract's Compression.
        blank_rotten: Whether a rotten record gives a row of paper instead of an error.
        stream_id: Of the client's stream, 0 where it does not say.
        demand_rows_per_s: That the trainer could take from this server, 0 where it does not say.
        renderer: That the client resolved; None where it does not say.
    """

    pipeline: Pipeline
    digest: str
    fingerprint: str
    shard: tuple[int, int]
    epoch: int
    first_step: int
    steps: int
    first_chunk: int
    chunks: int
    compression: int
    blank_rotten: bool
    stream_id: int
    demand_rows_per_s: float
    renderer: RendererInfo | None


def parse(kind: type[_Request], serialized: bytes) -> _Request:
    """Reads a request.

    Raises:
        InvalidField: The bytes are not such a message, or have fields that this version does not know.
    """
    request = kind()
    try:
        request.ParseFromString(serialized)
    except (DecodeError, RecursionError):
        raise InvalidField(Violation("request", f"must be a serialized {kind.DESCRIPTOR.full_name}")) from None
    _raise_if_any(list(_unknown_fields(request)))
    return request


def parse_pipeline(message: pb.Pipeline, present: bool) -> Pipeline:
    """The pipeline of a request.

    Args:
        message: Of the request.
        present: Whether the request has it.

    Raises:
        InvalidPipeline: Settings break their rules.
    """
    if not present:
        raise InvalidPipeline([Violation("pipeline", "is required")])
    serialized = message.SerializeToString(deterministic=True)
    return _pipeline_of(serialized) if len(serialized) <= _KEPT_PIPELINE_BYTES else from_message(message)


@functools.lru_cache(_KEPT_PIPELINES)
def _pipeline_of(serialized: bytes) -> Pipeline:
    """What every range of a stream repeats; to check it takes 0.2 ms."""
    return from_message(pb.Pipeline.FromString(serialized))


def parse_range(serialized: bytes) -> RangeRequest:
    """Reads and checks a StreamBatchesRequest, as far as that needs no dataset.

    Raises:
        InvalidPipeline: Only the pipeline breaks rules.
        InvalidField: Fields break their rules; all of them are named, those of the pipeline too.
    """
    request = parse(pb.StreamBatchesRequest, serialized)
    violations = list(_range_violations(request))
    try:
        pipeline = parse_pipeline(request.pipeline, request.HasField("pipeline"))
    except InvalidPipeline as error:
        if violations:
            raise InvalidField(*violations, *error.violations) from None
        raise
    shard = request.shard.index, request.shard.count or 1
    if pipeline.remainder != "short" and not violations and pipeline.batch_size % shard[1]:
        rule = (
            f"must divide batch_size {pipeline.batch_size:,} with remainder {pipeline.remainder!r}, got {shard[1]:,}: "
            "change one, or use remainder 'short'"
        )
        violations.append(Violation("shard.count", rule))
    _raise_if_any(violations)
    return RangeRequest(
        pipeline=pipeline,
        digest=request.digest,
        fingerprint=request.fingerprint,
        shard=shard,
        epoch=request.epoch,
        first_step=request.first_step,
        steps=request.steps,
        first_chunk=request.first_chunk,
        chunks=request.chunks,
        compression=_COMPRESSIONS[request.compression],
        blank_rotten=_ROTTEN_RECORDS[request.rotten_record],
        stream_id=request.stream_id,
        demand_rows_per_s=request.demand_rows_per_s,
        renderer=renderer_info(request.renderer) if request.HasField("renderer") else None,
    )


def check_position(request: RangeRequest, plan: Plan) -> None:
    """Checks that a range lies within its epoch.

    Args:
        request: The range.
        plan: Where the epoch's steps and chunks are.

    Raises:
        InvalidField: It does not.
    """
    violations = []
    end = plan.steps_per_epoch
    if request.first_step >= end:
        violations.append(Violation("first_step", f"must be below the {end:,} steps, got {request.first_step:,}"))
    elif request.first_step + request.steps > end:
        rule = f"must end within the {end:,} steps, got {request.steps:,} from {request.first_step:,} on"
        violations.append(Violation("steps", rule))
    elif request.first_chunk or request.chunks:
        chunks = len(plan.pieces(Cell(request.epoch, Span(request.first_step, request.first_step + 1))))
        last = request.first_chunk + max(request.chunks, 1)
        if last > chunks:
            rule = f"must lie, with all chunks, within the step's {chunks:,}, got {request.first_chunk:,} to {last:,}"
            violations.append(Violation("first_chunk", rule))
    _raise_if_any(violations)


def _range_violations(request: pb.StreamBatchesRequest) -> Iterator[Violation]:
    for field in ("digest", "fingerprint"):
        if not getattr(request, field):
            yield Violation(field, "is required, as ResolvePipeline returned it")
    count = request.shard.count or 1
    if not 1 <= count <= MAX_BATCH_SIZE:
        yield Violation("shard.count", f"must be from 1 to {MAX_BATCH_SIZE:,}, got {request.shard.count}")
    elif not 0 <= request.shard.index < count:
        yield Violation("shard.index", f"must be from 0 to {count - 1:,}, got {request.shard.index}")
    for field in ("epoch", "first_step", "first_chunk", "chunks"):
        if getattr(request, field) < 0:
            yield Violation(field, f"must be at least 0, got {getattr(request, field)}")
    if request.steps < 1:
        yield Violation("steps", f"must be at least 1, got {request.steps}")
    elif request.steps > 1 and (request.first_chunk or request.chunks):
        yield Violation("steps", f"must be 1 with first_chunk or chunks, got {request.steps:,}")
    if request.compression not in _COMPRESSIONS:
        yield Violation("compression", f"must be one of 1 (none), 2 (sparse), 3 (zstd), got {request.compression}")
    if request.rotten_record not in _ROTTEN_RECORDS:
        yield Violation("rotten_record", f"must be 1 (fail) or 2 (blank), got {request.rotten_record}")
    if not (math.isfinite(request.demand_rows_per_s) and request.demand_rows_per_s >= 0):
        rule = f"must be a number of at least 0, got {request.demand_rows_per_s}"
        yield Violation("demand_rows_per_s", rule)


def _unknown_fields(message: Message, path: str = "") -> Iterator[Violation]:
    """A violation for each field that this version's contract does not have; `from_message` looks into pipelines."""
    fields: Any = UnknownFieldSet(message)
    numbers = sorted({field.field_number for field in fields})
    for number in numbers[:_MAX_UNKNOWN_FIELDS]:
        yield Violation(f"{path}field {number}", "is unknown to this server: leave it out, or upgrade the server")
    for field, value in message.ListFields():
        if field.name == "shard":
            yield from _unknown_fields(value, "shard.")


def _raise_if_any(violations: list[Violation]) -> None:
    if violations:
        raise InvalidField(*violations)
