"""gRPC's health checks, answered whatever the rest of the server is doing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from grpc_health.v1 import health

from batch_server.serving.arrivals import MAX_WAITING

# Of their own: calls that wait for something hold back no health check, and health checks, which need no token and may
# come from anyone, take no thread from calls.
_POOL = ThreadPoolExecutor(MAX_WAITING + 4, thread_name_prefix="health")


class Health(health.HealthServicer):
    """The health service; a check that watches holds no thread at all."""

    def __init__(self) -> None:
        super().__init__(experimental_non_blocking=True, experimental_thread_pool=_POOL)

    def Check(self, request: Any, context: Any) -> Any:
        """How the server is."""
        return super().Check(request, context)

    Check.experimental_thread_pool = _POOL  # type: ignore[attr-defined]
