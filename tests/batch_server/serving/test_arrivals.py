"""Calls that are opened and never asked: they hold a bounded number of threads, and nobody is kept waiting for them."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from batch_server.serving.arrivals import Arrivals
from tests.http2_peer import Http2Peer

TIMEOUT_S = 30
MORE_THAN_THREADS = 100
STREAM_BATCHES = "/inkstream.v1.BatchService/StreamBatches"


@pytest.mark.parametrize("path", [STREAM_BATCHES, "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
def test_calls_that_ask_nothing_keep_nobody_waiting(
    serve: Callable[..., Any], call: Callable[..., Any], path: str
) -> None:
    address = serve(max_streams=2).address
    with Http2Peer(address) as silent:
        for _ in range(MORE_THAN_THREADS):
            silent.open_call(path)
        silent.wait_until_ended(TIMEOUT_S)  # one of them: so many are waiting
        caller = call(address)
        health = health_pb2_grpc.HealthStub(caller.channel)
        status = health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status
        assert status == health_pb2.HealthCheckResponse.SERVING
        assert next(health.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)).status == status
        assert sum(chunk.rows for chunk in caller.chunks(caller.request())) > 400


def test_a_call_that_ends_without_a_request_is_told_so(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    channel = call(serve().address).channel
    for asked in (
        channel.stream_unary("/inkstream.v1.BatchService/ListDatasets"),
        channel.stream_unary(STREAM_BATCHES),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            asked(iter(()), timeout=TIMEOUT_S)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "exactly one request" in refused.value.details()


class Details:
    method = "/service/method"


class Context:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def test_the_call_that_waits_longest_makes_room() -> None:
    contexts = [Context() for _ in range(4)]
    arrivals = Arrivals(max_waiting=2)
    handler = arrivals.intercept_service(
        lambda _: grpc.unary_unary_rpc_method_handler(lambda request, context: request), Details()
    )

    def arrive(index: int) -> Iterator[str]:
        """A request that comes when all later calls have come."""
        if index + 1 < len(contexts):
            handler.stream_unary(arrive(index + 1), contexts[index + 1])
        yield f"request {index}"

    assert handler.stream_unary(arrive(0), contexts[0]) == "request 0"
    assert [context.cancelled for context in contexts] == [True, True, False, False]
