"""A full server refuses, and clients that stall or leave hold bounded memory and give it back."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inkstream.v1 import batch_service_pb2 as pb
from tests.batch_server.serving.calls import WAIT_S, details_of, failure, pipeline, wait_until


def test_a_full_server_refuses_at_once_and_still_answers_everything_else(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    caller = call(serve(max_streams=2).address)
    large = pipeline(render=pb.Render(size=512), batch_size=500)
    held = [caller.stream(caller.request(large)) for _ in range(2)]
    for stream in held:
        next(stream)
    error = failure(lambda: list(caller.stream(caller.request(large))))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    info, _, retry = details_of(error)
    assert info.reason == "ERROR_REASON_SERVER_FULL"
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0
    assert caller.stub.ListDatasets(pb.ListDatasetsRequest(), timeout=WAIT_S).datasets
    health = health_pb2_grpc.HealthStub(caller.channel)
    assert (
        health.Check(health_pb2.HealthCheckRequest(), timeout=WAIT_S).status == health_pb2.HealthCheckResponse.SERVING
    )
    for stream in held:
        stream.cancel()
    assert list(until_admitted(lambda: caller.stream(caller.request(pipeline()))))


def until_admitted(run: Callable[[], Any]) -> Iterator[Any]:
    """Asks again while the server is full: a cancelled stream leaves within milliseconds."""
    for _ in range(1000):
        try:
            return iter(list(run()))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    raise AssertionError("the streams that were cancelled still hold their places")


def test_a_stalled_client_holds_bounded_memory_and_leaves_when_it_is_cancelled(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = serve(memory_mib=64, max_streams=4)
    budget = server.budget
    caller = call(server.address)
    large = caller.request(pipeline(render=pb.Render(size=1280), batch_size=500))
    stalled = [caller.stream(large) for _ in range(3)]
    for stream in stalled:
        next(stream)
    # 800 MB a stream wait to be drawn; beside them a good stream goes on, whose bytes fit into what they leave.
    good = caller.request(pipeline(batch_size=10))
    for _ in range(5):
        assert len(caller.chunks(good)) == 50
        assert budget.taken_bytes <= 64 << 20
    for stream in stalled:
        stream.cancel()
    assert wait_until(lambda: budget.taken_bytes == 0)


def test_a_client_that_leaves_gives_everything_back(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    server = serve()
    for _ in range(3):
        caller = call(server.address, [("grpc.use_local_subchannel_pool", 1)])
        next(caller.stream(caller.request(pipeline(render=pb.Render(size=512), batch_size=500))))
        caller.channel.close()
    assert wait_until(lambda: server.budget.taken_bytes == 0 and server.admission.streams == 0)
