"""Failures as clients see them: one table from errors to gRPC statuses, and one place that applies it.

A status carries the standard details of https://google.aip.dev/193: ErrorInfo with a reason of the contract, BadRequest
for input, RetryInfo where it is worth asking again later. The text of an error that is not in the table stays in the
log; the client gets an id under which to find it.
"""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2

from batch_server.batches import RottenRecord
from batch_server.store.errors import RottenColumn
from inkstream.errors import (
    AccessDenied,
    EmptySplit,
    InvalidPipeline,
    InvalidRequest,
    ServerDraining,
    ServerFull,
    ServerMismatch,
    ServerUnavailable,
    UnknownDataset,
    Violation,
)
from inkstream.status import DETAILS_KEY, ERROR_DOMAIN, MAX_DETAILS_BYTES

_LOG = logging.getLogger(__name__)

# The message stands in the status itself (where gRPC writes a byte that is not ASCII as three) and in its details.
_MAX_MESSAGE_BYTES = 600
_MAX_FIELD_BYTES = 100
_MAX_RULE_BYTES = 300
_MAX_METADATA_BYTES = 200


class InvalidField(InvalidRequest):
    """Fields of a request, besides its pipeline's, break their rules."""

    def __init__(self, *violations: Violation):
        self.violations = violations
        super().__init__("; ".join(map(str, violations)))


class FingerprintMismatch(ServerMismatch):
    """The dataset of this name holds other data than asked for."""


class DigestMismatch(ServerMismatch):
    """This server would draw other batches than asked for."""


class ServerStarting(ServerUnavailable):
    """The server is still reading its datasets."""


class Status(NamedTuple):
    """How a call ends."""

    code: Any
    reason: str
    message: str
    details: bytes


_KINDS: dict[type[Exception], tuple[Any, str]] = {
    AccessDenied: (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    InvalidPipeline: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    InvalidField: (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    UnknownDataset: (grpc.StatusCode.NOT_FOUND, "UNKNOWN_DATASET"),
    FingerprintMismatch: (grpc.StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"),
    DigestMismatch: (grpc.StatusCode.FAILED_PRECONDITION, "DIGEST_MISMATCH"),
    EmptySplit: (grpc.StatusCode.FAILED_PRECONDITION, "EMPTY_SPLIT"),
    RottenRecord: (grpc.StatusCode.DATA_LOSS, "ROTTEN_DATA"),
    RottenColumn: (grpc.StatusCode.DATA_LOSS, "ROTTEN_DATA"),
    ServerFull: (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_FULL"),
    ServerDraining: (grpc.StatusCode.UNAVAILABLE, "DRAINING"),
    ServerStarting: (grpc.StatusCode.UNAVAILABLE, "STARTING"),
}


def status_of(error: Exception) -> Status:
    """The status of a failed call; an error that is not in the table is logged under a random id.

    Args:
        error: What a handler raised.
    """
    if type(error) not in _KINDS:
        incident = secrets.token_hex(8)
        _LOG.error("unexpected failure %s", incident, exc_info=error)
        message = f"unexpected failure; the server's log explains it under the id {incident}"
        return _status(grpc.StatusCode.INTERNAL, "INTERNAL", message, {"id": incident})
    code, reason = _KINDS[type(error)]
    message, metadata, extra = str(error), {}, []
    match error:
        case InvalidPipeline() | InvalidField():
            extra = [_bad_request(error.violations)]
        case ServerFull() | ServerDraining() | ServerStarting():
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(round(error.retry_after_s * 1000))
            extra = [retry]
        case RottenRecord():
            metadata = {"dataset": error.dataset, "key_id": str(error.key_id)}
        case RottenColumn():  # its text names a path, which is the operator's matter
            metadata = {"dataset": error.path.stem, "column": error.column, "block": str(error.block)}
            message = f"dataset {error.path.stem}: column {error.column}, block {error.block}, is rotten"
            _LOG.error("%s", error)
    return _status(code, reason, message, metadata, *extra)


@contextmanager
def failures_as_statuses(context: Any, failed: Callable[[str], None] = lambda reason: None) -> Iterator[None]:
    """Ends the call with the right status when its handler raises.

    Args:
        context: The `grpc.ServicerContext` of the call.
        failed: Told the reason, without its prefix.
    """
    try:
        yield
    except Exception as error:
        status = status_of(error)
        failed(status.reason)
        _abort(context, status)


def _abort(context: Any, status: Status) -> NoReturn:
    context.set_trailing_metadata(((DETAILS_KEY, status.details),))
    context.abort(status.code, status.message)
    raise AssertionError("abort raises")


def _status(code: Any, reason: str, message: str, metadata: dict[str, str], *extra: Any) -> Status:
    message = _cut(message, _MAX_MESSAGE_BYTES)
    short = {key: _cut(value, _MAX_METADATA_BYTES) for key, value in metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=f"ERROR_REASON_{reason}", domain=ERROR_DOMAIN, metadata=short)
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in (info, *extra):
        status.details.add().Pack(detail)
    details = status.SerializeToString()
    assert len(details) <= MAX_DETAILS_BYTES
    return Status(code, reason, message, details)


def _bad_request(violations: tuple[Violation, ...]) -> error_details_pb2.BadRequest:
    """As many violations as fit."""
    room = MAX_DETAILS_BYTES - _MAX_MESSAGE_BYTES - 512
    bad_request = error_details_pb2.BadRequest()
    for violation in violations:
        field, rule = _cut(violation.field, _MAX_FIELD_BYTES), _cut(violation.rule, _MAX_RULE_BYTES)
        bad_request.field_violations.add(field=field, description=rule)
        if bad_request.ByteSize() > room:
            del bad_request.field_violations[-1]
            break
    return bad_request


def _cut(text: str, limit_bytes: int) -> str:
    """The text, or as much of its beginning as leaves room for an ellipsis."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit_bytes:
        return encoded.decode()
    return encoded[: limit_bytes - 3].decode(errors="ignore") + "…"
