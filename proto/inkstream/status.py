"""The one seam between gRPC's errors and those of `inkstream.errors`: no `grpc.RpcError` passes it.

A status carries the standard details of https://google.aip.dev/193: ErrorInfo with one of the contract's reasons,
BadRequest for input, RetryInfo when it is worth asking again later.
"""

from typing import Any, NamedTuple

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from inkstream.errors import (
    AccessDenied,
    DeadlineExceeded,
    EmptySplit,
    InkstreamError,
    InvalidPipeline,
    InvalidRequest,
    RottenData,
    ServerDraining,
    ServerFailure,
    ServerFull,
    ServerMismatch,
    ServerUnavailable,
    UnknownDataset,
    Violation,
)
from inkstream.v1 import batch_service_pb2 as pb

# google.rpc.ErrorInfo.domain of every reason of the contract.
ERROR_DOMAIN = "inkstream"
# Trailing metadata in which gRPC carries a serialized google.rpc.Status.
DETAILS_KEY = "grpc-status-details-bin"
# Details above this may turn an error into RESOURCE_EXHAUSTED: 8,000 bytes pass, 12,000 do not (measured).
MAX_DETAILS_BYTES = 4096

# Fields of requests that are not settings of a pipeline.
_REQUEST_FIELDS = {
    field.name
    for message in (pb.StreamBatchesRequest, pb.GetDatasetRequest)
    for field in message.DESCRIPTOR.fields
    if field.name != "pipeline"
}


class Details(NamedTuple):
    """What a status says besides its code and message."""

    reason: str
    violations: tuple[Violation, ...]
    retry_after_s: float


def error_from_rpc(error: grpc.RpcError, server: str) -> InkstreamError:
    """The error to raise for a failed call.

    Args:
        error: What gRPC raised; it is a `grpc.Call` as well.
        server: Address of the server, for the message.
    """
    code, text, details = error.code(), error.details() or "", _details(error)
    message = f"{server}: {text or code.name}"
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return _invalid(details.violations, message)
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(text, details, message)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ServerFull(message, details.retry_after_s)
    if code is grpc.StatusCode.FAILED_PRECONDITION and details.reason == "ERROR_REASON_EMPTY_SPLIT":
        return EmptySplit(text)
    if code is grpc.StatusCode.INTERNAL and not details.reason:
        # Without a reason it is not our server that speaks but HTTP/2, about a connection that broke.
        return ServerUnavailable(message)
    return _KINDS.get(code, ServerFailure)(message)


_KINDS: dict[Any, type[InkstreamError]] = {
    grpc.StatusCode.NOT_FOUND: UnknownDataset,
    grpc.StatusCode.FAILED_PRECONDITION: ServerMismatch,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.DATA_LOSS: RottenData,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    # A server or proxy that drops a call it had accepted.
    grpc.StatusCode.CANCELLED: ServerUnavailable,
}


# What gRPC says when a handshake fails, and what to do. Asking again changes nothing: somebody has to.
_HANDSHAKES = {
    "CERTIFICATE_VERIFY_FAILED": "the server's certificate must be signed by an authority that this client knows, and "
    "be valid today: give the authority's certificate (ca, --tls-ca), or renew the server's",
    "Hostname Verification": "the server's certificate is not for the name in its address: use a name that it holds, "
    "or give one (server_name, --tls-server-name)",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS: leave it out (ca, --tls-ca), or give the server a "
    "certificate (batch-server serve --tls-cert)",
}
# A server that refuses a handshake just hangs up; but so does one that is being killed.
_NOT_CONNECTED = "failed to connect"
_HUNG_UP = ("Socket closed", "Connection reset")
_HUNG_UP_REMEDY = (
    "if the server uses TLS, give its authority's certificate (ca, --tls-ca); if it wants certificates of its clients, "
    "give one that its authority has signed (cert and key, --tls-cert and --tls-key)"
)


def _unavailable(text: str, details: Details, message: str) -> InkstreamError:
    for said, remedy in _HANDSHAKES.items():
        if said in text:
            return AccessDenied(f"{message}: {remedy}")
    if text.startswith(_NOT_CONNECTED) and any(said in text for said in _HUNG_UP):
        message += f": {_HUNG_UP_REMEDY}"
    kind = ServerDraining if details.reason == "ERROR_REASON_DRAINING" else ServerUnavailable
    return kind(message, details.retry_after_s)


def _invalid(violations: tuple[Violation, ...], message: str) -> InkstreamError:
    """Settings of a pipeline are named as its user writes them, without the request around them."""
    if not violations or any(field.partition(".")[0] in _REQUEST_FIELDS for field, _ in violations):
        return InvalidRequest("; ".join([message, *map(str, violations)]))
    return InvalidPipeline([Violation(field.removeprefix("pipeline."), rule) for field, rule in violations])


def _details(error: grpc.RpcError) -> Details:
    """Reads the details of a status; what cannot be read is as good as absent."""
    reason, retry_after_s = "", 0.0
    violations: list[Violation] = []
    for packed in _packed_details(error):
        info, bad_request, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        try:
            if packed.Unpack(info) and info.domain == ERROR_DOMAIN:
                reason = info.reason
            elif packed.Unpack(bad_request):
                violations += [Violation(each.field, each.description) for each in bad_request.field_violations]
            elif packed.Unpack(retry):
                retry_after_s = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
        except DecodeError:
            continue
    return Details(reason, tuple(violations), retry_after_s)


def _packed_details(error: grpc.RpcError) -> list[Any]:
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == DETAILS_KEY:
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return []
    return []
