"""Calls whose request has not come yet: a bounded number, the oldest of which makes room for a new one.

gRPC gives a call its thread when the headers come, and the thread then waits for the request without a bound. Some
eighty connections that open a call and send nothing more held every thread, those of health checks too. A request
usually comes in one packet with its headers, so a call that has to wait long enough to be the oldest of many is no
honest one.
"""

import functools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import grpc

_LOG = logging.getLogger(__name__)

# More than a burst of honest calls; each may hold a thread.
MAX_WAITING = 32

# Whoever opens calls by the thousand must not fill the log.
_WARN_EVERY_S = 60.0


class Arrivals(grpc.ServerInterceptor):
    """Waits for the request of every call before its handler runs.

    A handler of one request is turned into one of a stream of requests, because gRPC runs such a handler at once: only
    so can a call that waits be cancelled.

    Args:
        max_waiting: Calls of one service that may wait for their request at a time; each holds a thread.
    """

    def __init__(self, max_waiting: int = MAX_WAITING):
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        # By service, because health checks need no token: in order of arrival, the values cancel the call.
        self._waiting: defaultdict[str, dict[object, Callable[[], object]]] = defaultdict(dict)
        self._warn_at = time.monotonic()

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The method's handler, to be run once the request is there."""
        handler = continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        service = handler_call_details.method.rpartition("/")[0]
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._with_request(service, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.stream_unary_rpc_method_handler(
            self._with_request(service, handler.unary_unary), handler.request_deserializer, handler.response_serializer
        )

    def _with_request(self, service: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(answer)  # gRPC reads attributes of a handler's function, as that it holds no thread
        def behavior(requests: Iterator[Any], context: Any, *more: Any) -> Any:
            return answer(self._request(service, requests, context), context, *more)

        return behavior

    def _request(self, service: str, requests: Iterator[Any], context: Any) -> Any:
        """The one request of a call; ends the call where none comes."""
        ticket, waiting = object(), self._waiting[service]
        with self._lock:
            while len(waiting) >= self._max_waiting:
                waiting.pop(next(iter(waiting)))()
                self._warn()
            waiting[ticket] = context.cancel
        try:
            for request in requests:
                return request
        finally:
            with self._lock:
                waiting.pop(ticket, None)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the method takes exactly one request, none came")

    def _warn(self) -> None:
        if time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + _WARN_EVERY_S
            _LOG.warning("ending calls whose request does not come, whenever %d wait for theirs", self._max_waiting)
