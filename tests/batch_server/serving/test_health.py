"""Health checks that watch: whoever may, without a token, takes a bounded part of the server's memory."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from batch_server.serving import health
from tests.chaos.process_memory import MIB, anonymous_bytes

TIMEOUT_S = 30
SERVING, UNKNOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
def watch(serve: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """`watch(name)`: a call that watches a server."""
    stub = health_pb2_grpc.HealthStub(call(serve().address).channel)
    return lambda name="": stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)


def test_names_that_nobody_has_are_not_remembered(watch: Callable[..., Any]) -> None:
    def ask(number: int) -> None:
        watching = watch(f"{number}".ljust(900_000, "x"))
        assert next(watching).status == UNKNOWN
        watching.cancel()

    for number in range(10):  # what gRPC keeps for the next call
        ask(number)
    before_bytes = anonymous_bytes(os.getpid())
    for number in range(10, 110):
        ask(number)
    assert anonymous_bytes(os.getpid()) - before_bytes < 40 * MIB


def test_only_so_many_watch_at_a_time(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(health, "MAX_WATCHERS", 2)
    watch = request.getfixturevalue("watch")
    watching = [watch(), watch("a name that nobody has")]
    assert [next(each).status for each in watching] == [SERVING, UNKNOWN]
    with pytest.raises(grpc.RpcError) as refused:
        next(watch())
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "check" in refused.value.details()
    watching.pop().cancel()
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:  # the server hears of it a little later
        with contextlib.suppress(grpc.RpcError):
            assert next(watch()).status == SERVING
            return
    raise AssertionError("no place came free")
