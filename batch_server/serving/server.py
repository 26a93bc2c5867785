"""The server's life: it opens its datasets, listens, drains and stops."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from batch_server.batches import BatchMaker
from batch_server.rendering import self_test_digest
from batch_server.serving.activity import Activity
from batch_server.serving.admission import Admission, CallLimit
from batch_server.serving.arrivals import MAX_WAITING, Arrivals
from batch_server.serving.authentication import TokenRequired
from batch_server.serving.budget import ByteBudget
from batch_server.serving.catalog import Catalog, CatalogWatch
from batch_server.serving.chunk_cache import ChunkCache
from batch_server.serving.chunks import chunk_messages
from batch_server.serving.errors import failures_as_statuses
from batch_server.serving.health import Health
from batch_server.serving.preparation import Preparation, Tell
from batch_server.serving.read_ahead import ReadAhead
from batch_server.serving.service import SERVICE_NAME, BatchService
from batch_server.serving.tls import ServerCertificate
from batch_server.serving.tokens import TokenFile
from inkstream.chunking import Span
from inkstream.command_line import Failure
from inkstream.errors import InkstreamError
from inkstream.pipeline import Pipeline, Render
from inkstream.v1 import batch_service_pb2 as pb

_LOG = logging.getLogger(__name__)

# Under which health checks ask for the server, and for its one service.
_HEALTH_NAMES = ("", SERVICE_NAME)

# Threads beside those of the streams, so that a full server still refuses with a reason.
_MAX_CALLS = 8
_MAX_REFLECTIONS = 2
_SPARE_THREADS = 6

# A request with the largest filter, 10,000 class names of 60 bytes, passes; nothing needs more.
_MAX_REQUEST_BYTES = 1 << 20

# How soon the end of the last range is noticed while draining.
_LOOK_S = 0.05
# A range that has ended here may still be on its way to its client; health checks that watch last as long as they may.
_LAST_MESSAGES_S = 0.5

_OPTIONS = (
    # Without it two servers share one port, and each request goes to either.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
    # A peer whose process or network is gone is noticed within 15 s, and its stream's room is free again.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Without it a ping waits for its answer for 60 s, whatever the keepalive says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    # Trainers may ask after a silent server as often as every 5 s, between ranges too, without being cut off.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


@dataclass(frozen=True)
class ServerSettings:
    """What a server is told when it starts.

    Args:
        data: Folder of the datasets.
        listen: HOST:PORT; port 0 picks a free one.
        threads: Render threads.
        memory_bytes: For chunks that are being made, wait to be sent or are kept, all streams together.
        cache_bytes: Of these, for chunks that are kept after they were sent; 0 keeps none.
        max_streams: Streams at a time.
        certificate: For TLS; None listens without encryption.
        tokens: Who may call; None lets everyone.
        warm: Whether datasets are read into memory before they are served.
    """

    data: Path
    listen: str
    threads: int
    memory_bytes: int
    cache_bytes: int
    max_streams: int
    certificate: ServerCertificate | None = None
    tokens: TokenFile | None = None
    warm: bool = False


class BatchServer:
    """A running server.

    Args:
        settings: What it is told.

    Attributes:
        address: HOST:PORT, with the port that was picked.
        catalog: Its datasets.
        admission: Its streams.
        budget: Its memory for chunks.
        chunks: Those that are being made, wait to be sent or are kept.
        activity: What it has done, and for whom.
        threads: That draw.
        self_test_digest: Of the batch that it drew when it started.

    Raises:
        Failure: The address cannot be listened on.
    """

    def __init__(self, settings: ServerSettings):
        self._preparation = Preparation(settings.memory_bytes, settings.warm)
        self.catalog = Catalog(
            settings.data, prepare=lambda dataset: self._preparation.prepare(dataset, self.catalog.open_datasets())
        )
        self._watch = CatalogWatch(self.catalog)
        self.admission = Admission(settings.max_streams)
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="render")
        self.budget = ByteBudget(settings.memory_bytes)
        self.chunks = ChunkCache(self._pool, self.budget, settings.cache_bytes)
        self.activity = Activity()
        self.threads, self.self_test_digest = settings.threads, self_test_digest()
        self._read_ahead = ReadAhead()
        service = BatchService(
            self.catalog,
            self.admission,
            CallLimit(_MAX_CALLS),
            self.chunks,
            self.self_test_digest,
            self.activity,
            self._read_ahead,
        )
        self._health = Health(_HEALTH_NAMES)
        self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        threads = settings.max_streams + _MAX_CALLS + _MAX_REFLECTIONS + MAX_WAITING + _SPARE_THREADS
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="call"),
            interceptors=[
                Arrivals(),
                *([TokenRequired(settings.tokens, self.activity.failed)] if settings.tokens else []),
            ],
            options=_OPTIONS,
        )
        self._server.add_generic_rpc_handlers((service.handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            _Reflection(CallLimit(_MAX_REFLECTIONS)), self._server
        )
        self.address = self._bind(settings.listen, settings.certificate)

    def load(self, tell: Tell = lambda what, done, total: None) -> None:
        """Opens the datasets, and reads them where that is asked for; meanwhile health checks say NOT_SERVING.

        Args:
            tell: How far reading is: what, how many bytes, and of how many.
        """
        self.admission.starting = True
        self._server.start()
        self._preparation.tell = tell
        try:
            self.catalog.look()
            self._draw_a_row()
        except BaseException:  # a signal, say
            self.stop()
            raise
        self._preparation.tell = lambda what, done, total: None  # those that come later are only logged
        self._watch.start()

    def start(self) -> None:
        """Serves from now on what `load` has opened, and what comes later."""
        self.admission.starting = False
        self._say(health_pb2.HealthCheckResponse.SERVING)

    def drain(self, delay_s: float, grace_s: float, hurry: Callable[[], bool]) -> bool:
        """Lets the running ranges end, refuses new ones, then stops.

        Health checks say NOT_SERVING at once, and the port stays open for the delay, so that clients and load balancers
        hear it from the server instead of running into a closed port.

        Args:
            delay_s: For how long the port stays open at least.
            grace_s: For how long the running ranges may go on at most.
            hurry: Whether nothing is to be waited for any more.

        Returns:
            Whether every range has ended by itself.
        """
        self.admission.drain()  # first: who hears that the server stops finds it so
        self._health.enter_graceful_shutdown()
        _LOG.info("draining: %d streams are open", self.admission.streams)
        begun = time.monotonic()
        while not hurry():
            passed_s = time.monotonic() - begun
            empty = self.admission.streams == 0
            if passed_s >= (delay_s if empty else max(delay_s, grace_s)):
                break
            time.sleep(_LOOK_S)
        complete = self.admission.streams == 0
        self.stop(_LAST_MESSAGES_S if complete else 0.0)
        return complete

    def stop(self, grace_s: float = 0.0) -> None:
        """Closes the port and ends every call.

        Args:
            grace_s: For how long calls may end by themselves first.
        """
        self._preparation.stopped = True
        self._server.stop(grace_s).wait()
        self._watch.stop()
        self._pool.shutdown(cancel_futures=True)
        self._read_ahead.stop()

    def _say(self, status: Any) -> None:
        """What health checks say."""
        for name in _HEALTH_NAMES:
            self._health.set(name, status)

    def _bind(self, listen: str, certificate: ServerCertificate | None) -> str:
        host = listen.rpartition(":")[0]
        try:
            if certificate:
                port = self._server.add_secure_port(listen, certificate.grpc_credentials())
            else:
                port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise Failure(f"cannot listen on {listen}: the address is in use, or not this machine's") from error
        return f"{host}:{port}"

    def _draw_a_row(self) -> None:
        """Draws one row, so that the kernels are compiled before a client waits for them."""
        for name in self.catalog.names():
            dataset = self.catalog.by_name(name).dataset
            pipeline = Pipeline(dataset=name, batch_size=1, render=Render(size=8))
            try:
                maker = BatchMaker(dataset, pipeline)
                chunk_messages(maker, 0, 0, Span(0, 1), pb.COMPRESSION_SPARSE_WORDS, blank_rotten=True)
                return
            except (InkstreamError, OSError) as error:
                _LOG.warning("dataset %s: %s", name, error)


class _Reflection:
    """gRPC reflection, whose streams hold a thread each for as long as their client likes."""

    def __init__(self, calls: CallLimit):
        self._calls = calls
        self._servicer: Any = reflection.ReflectionServicer(
            (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        )

    def ServerReflectionInfo(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        with ExitStack() as place:
            with failures_as_statuses(context):
                place.enter_context(self._calls.place())
            yield from self._servicer.ServerReflectionInfo(requests, context)
