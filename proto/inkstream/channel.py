"""One batch server: the calls to it, and probes of its health."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from inkstream.connection import Connection, Methods
from inkstream.credentials import Credentials
from inkstream.errors import CorruptChunk, InkstreamError, ServerDraining, ServerUnavailable
from inkstream.health import Health
from inkstream.protobuf_fields import read_fields
from inkstream.resolver import Endpoint
from inkstream.status import error_from_rpc
from inkstream.v1 import batch_service_pb2 as pb

logger = logging.getLogger("inkstream")

# The standard health check (https://grpc.io/docs/guides/health-checking/), its two messages read and written by hand:
# generated code for it would be one more dependency.
_EVERY_SERVICE = b""  # a HealthCheckRequest that names none
_STATUS_FIELD, _SERVING = 1, 1
# A probe that is not answered by then is lost; the next one is sent.
_PROBE_TIMEOUT_S = 2.0
# Ends of a probe that say nothing about the server; a channel that is closed cancels its calls.
_NO_ANSWER = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class Closed(Exception):
    """The stream or client was closed meanwhile; never reaches a user."""


class OpenCalls:
    """The calls of one stream or client that are under way, to cancel them all at once."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._lock = threading.RLock()
        self._calls: set[Any] = set()

    @contextmanager
    def started(self, start: Callable[[], Any]) -> Iterator[Any]:
        """Starts a call and cancels it when it is no longer of use.

        Raises:
            Closed: Calls have been cancelled.
        """
        with self._lock:
            if self.closed.is_set():
                raise Closed
            call = start()
            self._calls.add(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls.discard(call)
            call.cancel()

    def cancel(self) -> None:
        """Cancels every call, now and in future."""
        with self._lock:
            self.closed.set()
            calls = list(self._calls)
        for call in calls:
            call.cancel()


class Server:
    """One batch server.

    Args:
        endpoint: Where it listens.
        credentials: By what it and the client know each other; None for an open server.

    Attributes:
        address: `HOST:PORT`.
        health: Whether to ask it.
    """

    def __init__(self, endpoint: Endpoint, credentials: Credentials | None = None):
        self.address = endpoint.address
        self.health = Health()
        self._credentials = credentials or Credentials()
        self._connection = Connection(endpoint.address, endpoint.host, self._credentials)

    def list_datasets(self, calls: OpenCalls, timeout_s: float) -> pb.ListDatasetsResponse:
        """All datasets of the server."""
        return self._unary("ListDatasets", pb.ListDatasetsRequest(), calls, timeout_s)

    def get_dataset(self, name: str, calls: OpenCalls, timeout_s: float) -> pb.GetDatasetResponse:
        """One dataset of the server."""
        return self._unary("GetDataset", pb.GetDatasetRequest(name=name), calls, timeout_s)

    def resolve(self, pipeline: pb.Pipeline, calls: OpenCalls, timeout_s: float) -> pb.ResolvePipelineResponse:
        """What a pipeline yields."""
        return self._unary("ResolvePipeline", pb.ResolvePipelineRequest(pipeline=pipeline), calls, timeout_s)

    def stream(self, request: bytes, calls: OpenCalls, timeout_s: float) -> Generator[bytes, None, None]:
        """The messages of a range; closing the iterator cancels the call. Request and messages are serialized."""
        with self._started(lambda methods: methods.stream_batches, request, calls, timeout_s) as call:
            try:
                yield from call
            except grpc.RpcError as error:
                raise self._error(error, calls) from error
        self.health.delivered()

    def probe(self, every_s: float = 0.0) -> None:
        """Asks whether the server serves, without waiting: `health` takes the answer.

        Args:
            every_s: The least time since the last probe; there is never more than one under way.
        """
        try:
            with self._connection.methods() as methods:
                if self.health.begin_probe(time.monotonic(), every_s):
                    call = methods.health_check.future(_EVERY_SERVICE, timeout=_PROBE_TIMEOUT_S)
                    call.add_done_callback(self._probed)
        except ServerUnavailable:
            pass  # retired: nobody wants to know

    def failed(self, error: InkstreamError) -> None:
        """Takes note of a failed call."""
        if self.health.failed(error, time.monotonic()):
            logger.warning("%s; asking again, or another server", error)

    def retire(self) -> None:
        """Takes no new calls; the channel closes when the last one that is under way has ended."""
        self._connection.retire()

    def close(self) -> None:
        """Closes the channel; calls under way fail."""
        self._connection.close()

    @contextmanager
    def _started(
        self, choose: Callable[[Methods], Callable[..., Any]], request: Any, calls: OpenCalls, timeout_s: float
    ) -> Iterator[Any]:
        """Around a call: starts it with the credentials of now."""
        with self._connection.methods() as methods:
            method, shown = choose(methods), self._credentials.for_call()
            with calls.started(lambda: method(request, timeout=timeout_s, metadata=shown)) as call:
                yield call

    def _unary(self, name: str, request: Any, calls: OpenCalls, timeout_s: float) -> Any:
        try:
            with self._started(lambda methods: getattr(methods.stub, name).future, request, calls, timeout_s) as call:
                response = call.result()
        except grpc.FutureCancelledError as error:
            raise Closed from error
        except grpc.RpcError as error:
            raise self._error(error, calls) from error
        self.health.delivered()
        return response

    def _probed(self, call: Any) -> None:
        """Takes the answer to a probe; any status that only a living server gives is one."""
        code, now = call.code(), time.monotonic()
        if code in _NO_ANSWER:
            self.health.probe_lost()
        elif code is grpc.StatusCode.UNAVAILABLE:  # which no living server says
            self.health.probe_failed(error_from_rpc(call, self.address), now)
        elif code is grpc.StatusCode.OK and not _serves(call.result()):
            self.health.probe_failed(ServerDraining(f"{self.address}: it does not serve now"), now)
        elif self.health.probe_answered():
            logger.info("%s: it answers again", self.address)

    def _error(self, error: grpc.RpcError, calls: OpenCalls) -> Exception:
        return Closed() if calls.closed.is_set() else error_from_rpc(error, self.address)


def _serves(answer: bytes) -> bool:
    """Whether a HealthCheckResponse says so."""
    try:
        return dict(read_fields(memoryview(answer))).get(_STATUS_FIELD) == _SERVING
    except CorruptChunk:
        return False
