"""One batch server: its channel, the calls to it, and when it is worth asking next."""

import logging
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from inkstream.errors import InkstreamError, ServerUnavailable
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

# Exponential backoff with full jitter (Brooker 2015, "Exponential Backoff And Jitter"): clients that lost the same
# server at once must not come back at once.
BACKOFF_BASE_S = 0.1
BACKOFF_CAP_S = 2.0

_STREAM_BATCHES = "/inkstream.v1.BatchService/StreamBatches"


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
        address: `HOST:PORT`.

    Attributes:
        ready_at: When it is worth asking again, on the monotonic clock.
        outages: How often it was lost; whoever answers afterwards may be another program.
        last_error: Why it was not ready.
    """

    def __init__(self, address: str):
        self.address = address
        self.ready_at = 0.0
        self.outages = 0
        self.last_error: InkstreamError | None = None
        self._failures = 0
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(address, CHANNEL_OPTIONS)
        self._stub = BatchServiceStub(self._channel)
        self._stream_batches = self._channel.unary_stream(
            _STREAM_BATCHES,
            request_serializer=pb.StreamBatchesRequest.SerializeToString,
            response_deserializer=None,  # answers stay bytes: wire.py reads them without message objects
        )

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
        with calls.started(lambda: self._stream_batches(request, timeout=timeout_s)) as call:
            try:
                yield from call
            except grpc.RpcError as error:
                raise self._error(error, calls) from error
        self.answered()

    def failed(self, error: InkstreamError) -> None:
        """Lets the server rest: as long as it asked for, and a random time that grows with every failure in a row."""
        with self._lock:
            now = time.monotonic()
            if now >= self.ready_at:  # else another reader has told of the same failure
                self._failures += 1
                if self._failures == 1:
                    logger.warning("%s; asking again, or another server", error)
            self.outages += isinstance(error, ServerUnavailable)
            self.last_error = error
            longest = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(self._failures, 16))
            rest = getattr(error, "retry_after_s", 0.0) + random.uniform(0, longest)
            self.ready_at = max(self.ready_at, now + rest)

    def answered(self) -> None:
        """Forgets failures."""
        self._failures = 0

    def close(self) -> None:
        """Closes the channel; calls under way fail."""
        self._channel.close()

    def _unary(self, method: Any, request: Any, calls: OpenCalls, timeout_s: float) -> Any:
        try:
            with calls.started(lambda: method.future(request, timeout=timeout_s)) as call:
                response = call.result()
        except grpc.FutureCancelledError as error:
            raise Closed from error
        except grpc.RpcError as error:
            raise self._error(error, calls) from error
        self.answered()
        return response

    def _error(self, error: grpc.RpcError, calls: OpenCalls) -> Exception:
        return Closed() if calls.closed.is_set() else error_from_rpc(error, self.address)
