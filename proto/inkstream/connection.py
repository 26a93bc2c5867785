"""The connection to one server, renewed when the files of its credentials change."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.experimental

from inkstream.credentials import Credentials
from inkstream.errors import ServerUnavailable
from inkstream.v1.batch_service_pb2_grpc import BatchServiceStub

CHANNEL_OPTIONS = (
    # The thread that reads a range takes its messages from gRPC itself. Else another thread takes those of all ranges
    # and wakes their readers, one more handing over of the interpreter's lock for each message.
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
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
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"


class Methods:
    """What can be called over one channel.

    Args:
        channel: The `grpc.Channel`.

    Attributes:
        stub: The unary calls.
        stream_batches: Requests are bytes, most of which are the same each time; answers stay bytes, since `wire.py`
            reads them without message objects.
        health_check: The standard one, both messages bytes.
    """

    def __init__(self, channel: Any):
        self.channel = channel
        self.stub = BatchServiceStub(channel)
        self.stream_batches = channel.unary_stream(_STREAM_BATCHES, None, None)
        self.health_check = channel.unary_unary(_HEALTH_CHECK, None, None)
        self.calls = 0  # under way


class Connection:
    """The way to one server. Credentials of a channel are fixed, so a change of theirs takes a new channel.

    Calls that are under way stay on the channel on which they began; it closes with the last of them.

    Args:
        address: `HOST:PORT`.
        name: For which the server's certificate must be, unless the credentials say otherwise.
        credentials: By what server and client know each other.
    """

    def __init__(self, address: str, name: str, credentials: Credentials):
        self._address, self._credentials = address, credentials
        self._name = credentials.server_name or name.strip("[]")
        self._lock = threading.Lock()
        self._retired = False
        self._shown = credentials.for_channel()
        self._methods = self._open()

    @contextmanager
    def methods(self) -> Iterator[Methods]:
        """Around a call: what to call now, on a channel that stays open meanwhile.

        Raises:
            ServerUnavailable: The connection is retired.
        """
        with self._lock:
            if self._retired:
                raise ServerUnavailable(f"{self._address}: it is no longer one of the servers")
            self._renew()
            used = self._methods
            used.calls += 1
        try:
            yield used
        finally:
            with self._lock:
                used.calls -= 1
                done = not used.calls and (self._retired or used is not self._methods)
            if done:
                used.channel.close()

    def retire(self) -> None:
        """Takes no new calls."""
        with self._lock:
            self._retired = True
            idle = not self._methods.calls
        if idle:
            self._methods.channel.close()

    def close(self) -> None:
        """Takes no new calls, and closes the channel; calls under way fail."""
        with self._lock:
            self._retired = True
        self._methods.channel.close()

    def _renew(self) -> None:
        newest = self._credentials.for_channel()
        if newest is self._shown:
            return
        old, self._shown = self._methods, newest
        self._methods = self._open()
        if not old.calls:
            old.channel.close()

    def _open(self) -> Methods:
        if self._shown is None:
            return Methods(grpc.insecure_channel(self._address, CHANNEL_OPTIONS))
        options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", self._name))
        return Methods(grpc.secure_channel(self._address, self._shown, options))
