"""Who may call at all: calls without a valid bearer token end before anything of them is read."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health

from batch_server.serving.errors import failures_as_statuses
from batch_server.serving.tokens import TokenFile
from inkstream.errors import AccessDenied

# Orchestrators have no token. These two use threads of their own.
_OPEN = {f"/{health.SERVICE_NAME}/{method}" for method in ("Check", "Watch")}


class TokenRequired(grpc.ServerInterceptor):
    """Refuses every call without a valid token, except health checks.

    Args:
        tokens: The valid ones.
        failed: Told the reason of each refusal.
    """

    def __init__(self, tokens: TokenFile, failed: Callable[[str], None]):
        self._tokens = tokens
        # A thread of its own: a full server refuses at once too, and strangers take none from those who may call.
        pool = ThreadPoolExecutor(1, thread_name_prefix="refuse")
        self._missing = _refusal(
            "this server wants a bearer token, and the call has none: name a file with one (token_file, --token-file)",
            pool,
            failed,
        )
        self._wrong = _refusal(
            "the bearer token is none of those that this server accepts: bring the client's token file up to date",
            pool,
            failed,
        )

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The hook of gRPC: method and metadata of a call in, its handler out."""
        if handler_call_details.method in _OPEN:
            return continuation(handler_call_details)
        given = [value for key, value in handler_call_details.invocation_metadata if key == "authorization"]
        if not given:
            return self._missing
        scheme, _, token = given[0].partition(" ")
        if len(given) == 1 and scheme.lower() == "bearer" and self._tokens.accepts(token):
            return continuation(handler_call_details)
        return self._wrong


def _refusal(message: str, pool: ThreadPoolExecutor, failed: Callable[[str], None]) -> Any:
    """A handler that ends a call at once; one of streams does not wait for a request, which may never come."""

    def refuse(requests: Iterator[bytes], context: Any) -> bytes:
        with failures_as_statuses(context, failed):
            raise AccessDenied(message)

    refuse.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return grpc.stream_unary_rpc_method_handler(refuse)
