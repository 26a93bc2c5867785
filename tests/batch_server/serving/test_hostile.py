"""5,000 requests that nobody should send: each gets a clear answer, the server lives, a good stream is undisturbed."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from inkstream.v1 import batch_service_pb2 as pb

REQUESTS = 5000
TIMEOUT_S = 30
METHODS = ("ListDatasets", "GetDataset", "ResolvePipeline", "StreamBatches")

# A clear answer: what is wrong, or that there is no room. UNIMPLEMENTED is gRPC's for a method that is not there.
CLEAR = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}
NUMBERS = (0, 1, -1, 2, 7, 255, 1280, 65_537, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63), 2**64 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    "sketches",
    "../sketches",
    "/etc/passwd",
    "sketches.lmdb",
    "a\0b",
    "%s%n{}",
    "日本",
    "\U0001f600",
    "x" * 9000,
)


def random_value(field: Any, rng: random.Random) -> Any:
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return rng.choice(FLOATS)
    if field.cpp_type == field.CPPTYPE_STRING:
        return rng.choice(TEXTS) if field.type == field.TYPE_STRING else rng.randbytes(rng.randrange(40))
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    bits = 64 if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64) else 32
    value = rng.choice(NUMBERS) % (1 << bits)
    signed = field.cpp_type not in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def disturb(message: Message, rng: random.Random) -> None:
    """Sets a few fields, however deep, to values at and beyond the edges."""
    for field in message.DESCRIPTOR.fields:
        if rng.random() > 0.15:
            continue
        if field.message_type is not None:
            disturb(getattr(message, field.name), rng)
        elif field.is_repeated:
            getattr(message, field.name).extend(random_value(field, rng) for _ in range(rng.choice((1, 3, 2000))))
        else:
            setattr(message, field.name, random_value(field, rng))


def hostile_request(valid: dict[str, Message], rng: random.Random) -> tuple[str, bytes]:
    """A method's name and the bytes to send to it."""
    method = rng.choice(METHODS)
    message = type(valid[method])()
    message.CopyFrom(valid[method])
    kind = rng.randrange(4)
    if kind == 0:
        return method, rng.randbytes(rng.choice((0, 1, 10, 300, 5000)))
    if kind == 1:  # valid bytes, damaged
        data = bytearray(message.SerializeToString())
        for _ in range(rng.randint(1, 8)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        return method, bytes(data[: rng.choice((len(data), rng.randint(0, len(data))))])
    disturb(message, rng)
    if kind == 2:
        return method, message.SerializeToString()
    return rng.choice((*METHODS, "NoSuchMethod")), message.SerializeToString() + rng.randbytes(rng.randrange(6))


def code_of(channel: grpc.Channel, method: str, data: bytes) -> Any:
    """How a call ends. Only the first message of a valid stream is read, and then it is given up."""
    path = f"/inkstream.v1.BatchService/{method}"
    if method != "StreamBatches":
        try:
            channel.unary_unary(path)(data, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK
    stream = channel.unary_stream(path)(data, timeout=TIMEOUT_S)
    try:
        next(stream, None)
    except grpc.RpcError as error:
        return error.code()
    stream.cancel()
    return grpc.StatusCode.OK


def test_hostile_requests_get_clear_answers_and_disturb_nobody(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = serve(max_streams=16)
    good, hostile = call(server.address), call(server.address, [("grpc.use_local_subchannel_pool", 1)])
    small = pb.Pipeline(dataset="sketches", batch_size=16, render=pb.Render(size=16))
    request = good.request(small)
    expected = [chunk.SerializeToString() for chunk in good.chunks(request)]
    valid: dict[str, Message] = {
        "ListDatasets": pb.ListDatasetsRequest(),
        "GetDataset": pb.GetDatasetRequest(name="sketches"),
        "ResolvePipeline": pb.ResolvePipelineRequest(pipeline=small),
        "StreamBatches": request,
    }
    stop = threading.Event()
    rounds: list[bool] = []

    def stream_beside() -> None:
        while not stop.wait(0.05):  # or it would take half of the time
            rounds.append([chunk.SerializeToString() for chunk in good.chunks(request)] == expected)

    beside = threading.Thread(target=stream_beside)
    beside.start()
    rng = random.Random(5000)
    try:
        codes = Counter(code_of(hostile.channel, *hostile_request(valid, rng)) for _ in range(REQUESTS))
    finally:
        stop.set()
        beside.join(TIMEOUT_S)
    print(dict(codes))
    assert codes.total() == REQUESTS
    assert set(codes) <= CLEAR
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > REQUESTS // 3
    assert rounds and all(rounds)
    assert [chunk.SerializeToString() for chunk in good.chunks(request)] == expected


def test_a_request_of_more_than_a_mebibyte_is_refused(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    assert code_of(caller.channel, "GetDataset", bytes(2 << 20)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    largest = pb.Pipeline(
        dataset="sketches", batch_size=16, filter=pb.Filter(classes=[f"{number:060}" for number in range(10_000)])
    )
    data = pb.ResolvePipelineRequest(pipeline=largest).SerializeToString()
    assert code_of(caller.channel, "ResolvePipeline", data) is grpc.StatusCode.INVALID_ARGUMENT
