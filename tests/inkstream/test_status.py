"""Every status that a server or a broken connection can end in has its error, and none passes as grpc.RpcError."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from inkstream import errors
from inkstream.channel import OpenCalls, Server
from inkstream.errors import InvalidPipeline, InvalidRequest, ServerDraining, ServerFull, Violation
from inkstream.resolver import Endpoint
from inkstream.status import DETAILS_KEY

Code = grpc.StatusCode


class Refuser:
    """A server that ends every call with what a test says."""

    def __init__(self) -> None:
        self.metadata: tuple[tuple[str, bytes], ...] = ()
        self.code, self.text = Code.OK, ""
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        handlers = grpc.method_handlers_generic_handler("inkstream.v1.BatchService", {"ListDatasets": handler})
        self.server = grpc.server(ThreadPoolExecutor(1))
        self.server.add_generic_rpc_handlers((handlers,))
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def answer(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata(self.metadata)
        context.abort(self.code, self.text)
        raise AssertionError


@pytest.fixture(scope="module")
def refuser() -> Iterator[Refuser]:
    running = Refuser()
    yield running
    running.server.stop(0).wait(10)


@pytest.fixture
def error_of(refuser: Refuser, fake_server: Any) -> Any:
    """`error_of(code, reason, *details)`: the error that a client raises for a status."""

    class Recorder:
        def set_trailing_metadata(self, metadata: Any) -> None:
            refuser.metadata = metadata

        def abort(self, code: Any, text: str) -> None:
            refuser.code, refuser.text = code, text

    def error_of(code: Code, reason: str = "", *details: Any, metadata: Any = None) -> errors.InkstreamError:
        if reason:
            fake_server().refuse(Recorder(), code, reason, "on purpose", *details)
        else:
            refuser.code, refuser.text, refuser.metadata = code, "on purpose", metadata or ()
        server = Server(Endpoint(refuser.address, "127.0.0.1"))
        try:
            with pytest.raises(errors.InkstreamError) as caught:
                server.list_datasets(OpenCalls(), 10)
        finally:
            server.close()
        return caught.value

    return error_of


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (Code.NOT_FOUND, "UNKNOWN_DATASET", errors.UnknownDataset),
        (Code.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH", errors.ServerMismatch),
        (Code.FAILED_PRECONDITION, "DIGEST_MISMATCH", errors.ServerMismatch),
        (Code.FAILED_PRECONDITION, "EMPTY_SPLIT", errors.EmptySplit),
        (Code.DATA_LOSS, "ROTTEN_DATA", errors.RottenData),
        (Code.RESOURCE_EXHAUSTED, "SERVER_FULL", errors.ServerFull),
        (Code.UNAVAILABLE, "DRAINING", errors.ServerDraining),
        (Code.UNAVAILABLE, "STARTING", errors.ServerUnavailable),
        (Code.INTERNAL, "INTERNAL", errors.ServerFailure),
        (Code.INVALID_ARGUMENT, "INVALID_FIELD", errors.InvalidRequest),
        # Without a reason: from a connection, a proxy, or a program that is no batch server.
        (Code.UNAVAILABLE, "", errors.ServerUnavailable),
        (Code.CANCELLED, "", errors.ServerUnavailable),
        (Code.INTERNAL, "", errors.ServerUnavailable),
        (Code.DEADLINE_EXCEEDED, "", errors.DeadlineExceeded),
        (Code.UNAUTHENTICATED, "", errors.AccessDenied),
        (Code.PERMISSION_DENIED, "", errors.AccessDenied),
        (Code.OUT_OF_RANGE, "", errors.InvalidRequest),
        (Code.UNIMPLEMENTED, "", errors.ServerFailure),
        (Code.UNKNOWN, "", errors.ServerFailure),
        (Code.ALREADY_EXISTS, "", errors.ServerFailure),
    ],
)
def test_each_status_has_its_error(error_of: Any, code: Code, reason: str, kind: type[Exception]) -> None:
    error = error_of(code, reason)
    assert type(error) is kind
    assert "on purpose" in str(error)


def test_violations_are_named_as_the_user_writes_settings(error_of: Any) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation
    settings = [
        violation(field="pipeline.render.size", description="must be 8"),
        violation(field="seed", description="!"),
    ]
    error = error_of(Code.INVALID_ARGUMENT, "INVALID_FIELD", error_details_pb2.BadRequest(field_violations=settings))
    assert isinstance(error, InvalidPipeline)
    assert error.violations == (Violation("render.size", "must be 8"), Violation("seed", "!"))
    request = [violation(field="shard.count", description="must divide 64, got 5")]
    error = error_of(Code.INVALID_ARGUMENT, "INVALID_FIELD", error_details_pb2.BadRequest(field_violations=request))
    assert isinstance(error, InvalidRequest)
    assert "shard.count must divide 64, got 5" in str(error)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [(Code.RESOURCE_EXHAUSTED, "SERVER_FULL", ServerFull), (Code.UNAVAILABLE, "DRAINING", ServerDraining)],
)
def test_servers_say_when_to_ask_again(error_of: Any, fake_server: Any, code: Code, reason: str, kind: Any) -> None:
    error = error_of(code, reason, fake_server().retry_info(1.25))
    assert isinstance(error, kind) and error.retry_after_s == 1.25


@pytest.mark.parametrize("details", [b"", b"\xff\xff\xff", b"\x1a\x04\x0a\x02ab", b"\x1a\x02\x12\x00"])
def test_details_that_cannot_be_read_are_as_good_as_absent(error_of: Any, details: bytes) -> None:
    assert type(error_of(Code.UNAVAILABLE, metadata=((DETAILS_KEY, details),))) is errors.ServerUnavailable


def test_errors_pickle() -> None:
    """They cross process borders, as in a data loader's worker."""
    for error in (InvalidPipeline([Violation("seed", "must be 1")]), ServerFull("full", 2.5)):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))
        assert vars(copy) == vars(error)
