"""A server that stops lets calls end that it has begun, within its grace."""

import threading
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inkstream.v1 import batch_service_pb2 as pb
from tests.batch_server.serving.calls import WAIT_S, details_of, failure, pipeline


def test_draining_refuses_new_ranges_and_lets_running_ones_end(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = serve()
    caller = call(server.address)
    health = health_pb2_grpc.HealthStub(caller.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    request = caller.request(pipeline(render=pb.Render(size=512), batch_size=100))
    running = caller.stream(request)
    begun = [next(running)]
    complete: list[bool] = []
    draining = threading.Thread(target=lambda: complete.append(server.drain(0, WAIT_S, lambda: False)))
    draining.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    error = failure(lambda: list(caller.stream(request)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    info, _, retry = details_of(error)
    assert info.reason == "ERROR_REASON_DRAINING"
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0
    assert caller.resolve(pipeline()).samples == 500
    begun += running
    assert sum(message.chunk.rows for message in begun) == 500
    draining.join(WAIT_S)
    assert complete == [True]


def test_what_does_not_end_within_the_grace_is_cut_off(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    server = serve()
    caller = call(server.address)
    running = caller.stream(caller.request(pipeline(render=pb.Render(size=1280), batch_size=500)))
    next(running)
    assert server.drain(0, 0.1, lambda: False) is False
    assert failure(lambda: list(running)).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
