"""One batch server: its channel, the calls to it, and probes of its health."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from inkstream.errors import CorruptChunk, InkstreamError, ServerDraining, ServerUnavailable
from inkstream.health import Health
from inkstream.protobuf_fields import read_fields
from inkstream.resolver import Endpoint
from inkstream.status import error_from_rpc
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.v1.batch_service_pb2_grpc import BatchServiceStub

logger = logging.getLogger("inkstream")

CHANNEL_OPTIONS = (
    # Channels with equal arguments share a connection otherwise, and servers must not share a fate.
    ("grpc.use_local_subchannel_pool", 1),
    # A frozen server or a cut link is found after 10 + 3 s. Without the ping timeout of its own, gRPC waits 60 s for
    # the answer to a ping whatever the keepalive timeout says.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    # Ping for as long as a call waits: the default stops after two pings without data.
    ("grpc.http2.max_pings_without_data", 0),
    # An address that swallows packets is given up after 3 s instead of 20, and a server that restarts is found within
    # 2 s instead of up to 120.
    ("grpc.min_reconnect_backoff_ms", 3_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Batch servers are neighbours: a web proxy in the environment is not for them.
    ("grpc.enable_http_proxy", 0),
)

_STREAM_BATCHES = "/inkstream.v1.BatchService/StreamBatches"
# The standard health check (https://grpc.io/docs/guides/health-checking/), its two messages read and written by hand:
# generated code for it would be one more dependency.
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_EVERY_SERVICE = b""  # a HealthCheckRequest that names none
_STATUS_FIELD, _SERVING = 1, 1
# A probe that is not answered by then is lost; the next one is sent.
_PROBE_TIMEOUT_S = 2.0
# Statuses of a probe that no living server gives.
_NOT_REACHED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


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

    Attributes:
        address: `HOST:PORT`.
        health: Whether to ask it.
    """

    def __init__(self, endpoint: Endpoint):
        self.address = endpoint.address
        self.health = Health()
        self._lock = threading.Lock()
        self._open_calls = 0
        self._retired = False
        self._channel = grpc.insecure_channel(self.address, CHANNEL_OPTIONS)
        self._stub = BatchServiceStub(self._channel)
        self._stream_batches = self._channel.unary_stream(
            _STREAM_BATCHES,
            request_serializer=pb.StreamBatchesRequest.SerializeToString,
            response_deserializer=None,  # answers stay bytes: wire.py reads them without message objects
        )
        self._check = self._channel.unary_unary(_HEALTH_CHECK, None, None)  # bytes both ways

    def list_datasets(self, calls: OpenCalls, timeout_s: float) -> pb.ListDatasetsResponse:
        """All datasets of the server."""
        return self._unary(self._stub.ListDatasets, pb.ListDatasetsRequest(), calls, timeout_s)

    def get_dataset(self, name: str, calls: OpenCalls, timeout_s: float) -> pb.GetDatasetResponse:
        """One dataset of the server."""
        return self._unary(self._stub.GetDataset, pb.GetDatasetRequest(name=name), calls, timeout_s)

    def resolve(self, pipeline: pb.Pipeline, calls: OpenCalls, timeout_s: float) -> pb.ResolvePipelineResponse:
        """What a pipeline yields."""
        return self._unary(self._stub.ResolvePipeline, pb.ResolvePipelineRequest(pipeline=pipeline), calls, timeout_s)

    def stream(
        self, request: pb.StreamBatchesRequest, calls: OpenCalls, timeout_s: float
    ) -> Generator[bytes, None, None]:
        """The messages of a range, serialized; closing the iterator cancels the call."""
        with self._in_use(), calls.started(lambda: self._stream_batches(request, timeout=timeout_s)) as call:
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
            with self._in_use():
                if self.health.begin_probe(time.monotonic(), every_s):
                    self._check.future(_EVERY_SERVICE, timeout=_PROBE_TIMEOUT_S).add_done_callback(self._probed)
        except ServerUnavailable:
            pass  # retired: nobody wants to know

    def failed(self, error: InkstreamError) -> None:
        """Takes note of a failed call."""
        if self.health.failed(error, time.monotonic()):
            logger.warning("%s; asking again, or another server", error)

    def retire(self) -> None:
        """Takes no new calls; the channel closes when the last one that is under way has ended."""
        with self._lock:
            self._retired = True
            idle = not self._open_calls
        if idle:
            self._channel.close()

    def close(self) -> None:
        """Closes the channel; calls under way fail."""
        with self._lock:
            self._retired = True
        self._channel.close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Around a call: keeps the channel open."""
        with self._lock:
            if self._retired:
                raise ServerUnavailable(f"{self.address}: it is no longer one of the servers")
            self._open_calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._open_calls -= 1
                last = self._retired and not self._open_calls
            if last:
                self._channel.close()

    def _unary(self, method: Any, request: Any, calls: OpenCalls, timeout_s: float) -> Any:
        try:
            with self._in_use(), calls.started(lambda: method.future(request, timeout=timeout_s)) as call:
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
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            self.health.probe_lost()
        elif code in _NOT_REACHED:
            self.health.probe_failed(ServerUnavailable(f"{self.address}: {call.details()}"), now)
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
