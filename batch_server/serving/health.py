"""gRPC's health checks, answered whatever the rest of the server is doing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpc_health.v1 import health, health_pb2

from batch_server.serving.admission import FULL_RETRY_S
from batch_server.serving.arrivals import MAX_WAITING
from batch_server.serving.errors import failures_as_statuses
from inkstream.errors import ServerFull

# Of their own: calls that wait for something hold back no health check, and health checks, which need no token and may
# come from anyone, take no thread from calls.
_POOL = ThreadPoolExecutor(MAX_WAITING + 4, thread_name_prefix="health")
# Each holds 15 KB (measured) for as long as its client likes.
MAX_WATCHERS = 1024


class Health(health.HealthServicer):
    """The health service; a check that watches holds no thread at all.

    Args:
        services: The names that can be asked for.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        super().__init__(experimental_non_blocking=True, experimental_thread_pool=_POOL)
        self._services = services
        self._watchers = threading.BoundedSemaphore(MAX_WATCHERS)

    def Check(self, request: Any, context: Any) -> Any:
        """How the server is."""
        return super().Check(request, context)

    Check.experimental_thread_pool = _POOL  # type: ignore[attr-defined]

    def Watch(self, request: Any, context: Any, send_response_callback: Any = None) -> Any:
        """How the server is, and what becomes of it."""
        with failures_as_statuses(context):
            if not self._watchers.acquire(blocking=False):
                raise ServerFull("too many calls watch the server's health: check it instead", FULL_RETRY_S)
        leaving = _Leaving(context)
        leaving.add_callback(self._watchers.release)
        if request.service in self._services:
            return super().Watch(request, leaving, send_response_callback)
        # The library would remember the name, of whatever length, for ever. No service is added later, so nothing needs
        # to be remembered for what the protocol demands: the call stays open.
        unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        send_response_callback(health_pb2.HealthCheckResponse(status=unknown))
        return None


class _Leaving:
    """A call of which the library only wants to know when it ends; it does not look whether it has ended already."""

    def __init__(self, context: Any):
        self._context = context

    def add_callback(self, callback: Callable[[], Any]) -> None:
        if not self._context.add_callback(callback):
            callback()
