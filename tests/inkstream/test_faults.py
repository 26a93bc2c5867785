"""What goes wrong on the way never changes a batch: it is asked for again, elsewhere, or an error says why."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

import inkstream
from inkstream import health
from inkstream.v1 import batch_service_pb2 as pb
from tests.fake_server import check_all

WAIT_S = 20
PIPELINE = inkstream.Pipeline(dataset="doodles", batch_size=64, render=inkstream.Render(size=16))
RETRIED = [
    (grpc.StatusCode.UNAVAILABLE, "DRAINING"),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_FULL"),
]


def failing(server: Any, code: grpc.StatusCode, reason: str, *details: Any) -> Callable[..., None]:
    """A fault that ends a call."""
    return lambda request, context: server.refuse(context, code, reason, "on purpose", *details)


@pytest.mark.parametrize(("code", "reason"), RETRIED)
def test_only_the_missing_part_of_a_range_is_asked_for_again(
    connected: Any, code: grpc.StatusCode, reason: str
) -> None:
    client, (server,) = connected()
    server.faults.append(failing(server, code, reason))
    stats = check_all(client.stream(PIPELINE), server, PIPELINE)
    assert [(request.first_step, request.steps) for request in server.requests] == [(0, 16), (1, 15)]
    assert (stats.retries, stats.servers[server.address].chunks) == (1, 16)


def test_the_rest_of_a_step_is_asked_for_by_its_chunks(connected: Any) -> None:
    client, (server,) = connected(samples=128)  # one range: another one could take the fault
    server.faults.append(failing(server, *RETRIED[0]))
    asked = PIPELINE.replace(
        render=inkstream.Render(size=128, encoding="thirds")
    )  # 4 chunks a batch, 2 batches a range
    check_all(client.stream(asked, compression="none"), server, asked)
    by_step = sorted((each.first_step, each.steps, each.first_chunk, each.chunks) for each in server.requests)
    assert by_step == [(0, 1, 1, 3), (0, 2, 0, 0), (1, 1, 0, 0)]


def test_servers_are_not_asked_again_before_they_said(connected: Any) -> None:
    client, (server,) = connected()
    times: list[float] = []
    code, reason = RETRIED[1]

    def full(request: Any, context: Any) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            server.refuse(context, code, reason, "full", server.retry_info(0.7))

    server.always = full
    check_all(client.stream(PIPELINE), server, PIPELINE)
    assert len(times) == 2
    assert times[1] - times[0] >= 0.7


def test_a_server_that_stays_full_is_an_error_in_the_end(connected: Any) -> None:
    client, (server,) = connected(timeout_s=1)
    code, reason = RETRIED[1]
    server.always = failing(server, code, reason, server.retry_info(0.4))
    started = time.monotonic()
    with pytest.raises(inkstream.ServerFull, match="on purpose") as caught:
        next(client.stream(PIPELINE))
    assert 0.9 < time.monotonic() - started < 5
    assert caught.value.retry_after_s == 0.4


def test_a_server_may_restart_in_mid_stream(connected: Any, fake_server: Any) -> None:
    client, (server,) = connected(samples=3000)
    restarted: list[Any] = []

    def restart() -> None:
        server.stop()
        restarted.append(fake_server(samples=3000, port=server.port))

    server.faults += [server.stall, server.stall]
    stream = client.stream(PIPELINE.replace(render=inkstream.Render(size=64)))
    assert server.stalled.wait(WAIT_S)
    thread = threading.Thread(target=restart)
    thread.start()
    stats = check_all(stream, server, PIPELINE.replace(render=inkstream.Render(size=64)))
    thread.join(WAIT_S)
    assert stats.retries > 0 and restarted[0].requests


def test_a_dead_server_yields_to_the_next(connected: Any, fake_server: Any) -> None:
    _, (server,) = connected(samples=1000)
    dead = fake_server()
    dead.stop()
    with inkstream.connect([dead.address, server.address], timeout_s=WAIT_S) as client:
        assert client.dataset("doodles").samples == 1000
        stats = check_all(client.stream(PIPELINE.replace(batch_size=4)), server, PIPELINE.replace(batch_size=4))
    assert stats.servers[dead.address].chunks == 0


def test_several_servers_share_the_ranges(connected: Any) -> None:
    client, servers = connected(servers=2)
    asked = PIPELINE.replace(batch_size=1)  # 16 ranges
    stats = check_all(client.stream(asked), servers[0], asked)
    assert all(each.chunks > 0 for each in stats.servers.values())
    first = [(request.first_step, request.steps) for request in servers[0].requests]
    check_all(client.stream(asked), servers[0], asked)
    # A second trainer prefers the same server for the same range.
    assert sorted((request.first_step, request.steps) for request in servers[0].requests) == sorted(first * 2)


# Bytes that change on the way, and servers that break the contract.


def flip(messages: list[bytes]) -> list[bytes]:
    """One bit of an image's payload is changed."""
    changed = bytearray(messages[0])
    changed[len(changed) // 2] ^= 1
    return [bytes(changed), *messages[1:]]


def edited(change: Callable[[pb.Chunk], Any]) -> Callable[[list[bytes]], list[bytes]]:
    def edit(messages: list[bytes]) -> list[bytes]:
        response = pb.StreamBatchesResponse.FromString(messages[0])
        change(response.chunk)
        return [response.SerializeToString()]

    return edit


BREACHES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a changed bit": flip,
    "no message": lambda messages: [b"\xff" * 30],
    "an empty message": lambda messages: [b""],
    "a cut message": lambda messages: [messages[0][:-9]],
    "no chunk": lambda messages: [],
    "each chunk twice": lambda messages: [*messages, *messages],
    "a part without an end": lambda messages: [
        pb.StreamBatchesResponse(part=pb.ChunkPart(total_bytes=9, data=b"x")).SerializeToString()
    ],
    "another epoch": edited(lambda chunk: setattr(chunk, "epoch", 1)),
    "another step": edited(lambda chunk: setattr(chunk, "step", chunk.step + 1)),
    "other rows": edited(lambda chunk: setattr(chunk, "first_row", 1)),
    "another batch size": edited(lambda chunk: setattr(chunk, "batch_rows", 65)),
    "a tensor too few": edited(lambda chunk: chunk.tensors.pop()),
    "a tensor too many": edited(lambda chunk: chunk.tensors.add(name="x", dtype=1, compression=1)),
    "another name": edited(lambda chunk: setattr(chunk.tensors[1], "name", "labels")),
    "another type": edited(lambda chunk: setattr(chunk.tensors[1], "dtype", pb.DATA_TYPE_FLOAT32)),
    "another shape": edited(lambda chunk: chunk.tensors[0].shape.pop()),
    "an unknown type": edited(lambda chunk: setattr(chunk.tensors[1], "dtype", 99)),
    "a compression not asked for": edited(lambda chunk: setattr(chunk.tensors[0], "compression", pb.COMPRESSION_ZSTD)),
    "a payload too long": edited(lambda chunk: setattr(chunk.tensors[1], "data", bytes(999))),
    "a payload too short": edited(lambda chunk: setattr(chunk.tensors[1], "data", b"")),
    "no checksum": edited(lambda chunk: chunk.ClearField("checksum")),
    "blanks that were not asked for": edited(lambda chunk: chunk.blanks.append(1001)),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_what_arrives_corrupt_is_asked_for_again(connected: Any, breach: str) -> None:
    client, (server,) = connected(samples=200)
    left = [BREACHES[breach]]
    server.change_messages = lambda messages: left.pop()(messages) if left else messages
    stats = check_all(client.stream(PIPELINE), server, PIPELINE)
    assert stats.retries == 1


@pytest.mark.parametrize("breach", [breach for breach in BREACHES if breach != "each chunk twice"])
def test_corruption_that_persists_is_named(connected: Any, breach: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "BACKOFF_BASE_S", 0.001)  # how long it waits between is tested elsewhere
    client, (server,) = connected(samples=200)
    server.change_messages = BREACHES[breach]
    with client.stream(PIPELINE) as stream, pytest.raises(inkstream.CorruptChunk, match=server.address):
        list(stream)


def test_a_server_that_corrupts_is_routed_around(connected: Any) -> None:
    client, (good, bad) = connected(servers=2)
    bad.change_messages = flip
    asked = PIPELINE.replace(batch_size=1)
    stats = check_all(client.stream(asked), good, asked)
    assert stats.servers[bad.address].chunks == 0
    assert stats.servers[bad.address].failures > 0


# Rotten records.


def test_what_is_rotten_on_one_server_comes_whole_from_another(connected: Any) -> None:
    client, (good, bad) = connected(servers=2)
    bad.rotten_key_ids = set(range(1000, 2000))
    asked = PIPELINE.replace(batch_size=1)
    stats = check_all(client.stream(asked), good, asked)
    assert stats.blank_rows == 0
    assert all(request.rotten_record == pb.ROTTEN_RECORD_FAIL for request in bad.requests + good.requests)


def test_what_is_rotten_everywhere_is_blank_counted_and_named(connected: Any, caplog: pytest.LogCaptureFixture) -> None:
    client, servers = connected(servers=2)
    for server in servers:
        server.rotten_key_ids = {1003, 1600}
    with caplog.at_level(logging.WARNING, "inkstream"), client.stream(PIPELINE) as stream:
        batches = list(stream)
    blank = 0
    for batch in batches:
        expected = servers[0].expected(PIPELINE, batch.epoch, batch.step)
        rotten = np.isin(expected["key_id"], [1003, 1600])
        blank += rotten.sum()
        assert not batch["image"][rotten].any() and not batch["mask"][rotten].any()
        assert np.array_equal(batch["image"][~rotten], expected["image"][~rotten])
        assert np.array_equal(batch["key_id"], expected["key_id"])
        assert np.array_equal(batch["label"], expected["label"])
    assert blank == 2
    assert (stream.stats().blank_rows, set(stream.stats().blank_key_ids)) == (2, {1003, 1600})
    assert all(any(key_id in record.getMessage() for record in caplog.records) for key_id in ("1003", "1600"))


def test_a_rotten_column_is_an_error(connected: Any) -> None:
    client, (server,) = connected()
    server.always = failing(server, grpc.StatusCode.DATA_LOSS, "ROTTEN_DATA")
    with pytest.raises(inkstream.RottenData, match="on purpose"):
        next(client.stream(PIPELINE))


# Servers that are not the run's.


def test_a_server_that_draws_otherwise_is_left_out_by_name(connected: Any, caplog: pytest.LogCaptureFixture) -> None:
    client, (good, other) = connected(servers=2)
    other.renderer = pb.Renderer(version=3, self_test_digest="0ther")
    asked = PIPELINE.replace(batch_size=1)
    stats = check_all(client.stream(asked), good, asked)
    assert stats.servers[other.address].chunks == 0 and stats.servers[good.address].rows == 1000
    (named,) = [record.getMessage() for record in caplog.records]
    assert other.address in named and "0ther" in named and "5e1f" in named


@pytest.mark.parametrize("change", ["renderer", "fingerprint"])
def test_a_server_that_comes_back_as_another_is_refused(connected: Any, fake_server: Any, change: str) -> None:
    client, (server,) = connected()
    server.always = server.stall
    with client.stream(PIPELINE) as stream:
        assert server.stalled.wait(WAIT_S)
        server.stop()
        changed = fake_server(port=server.port)
        if change == "renderer":
            changed.renderer = pb.Renderer(version=4, self_test_digest="0ther")
        else:
            changed.fingerprint = "f2"
        with pytest.raises(inkstream.ServerMismatch, match=server.address) as caught:
            list(stream)
    assert ("version 4" if change == "renderer" else "fingerprint f2") in str(caught.value)


# Errors of the server.


def test_an_unexpected_failure_is_raised_at_once(connected: Any) -> None:
    client, (server,) = connected(timeout_s=1000)
    server.always = failing(server, grpc.StatusCode.INTERNAL, "INTERNAL")
    with pytest.raises(inkstream.ServerFailure, match=f"{server.address}: on purpose"):
        next(client.stream(PIPELINE))


def test_an_error_comes_after_the_batches_before_it_and_stays(connected: Any) -> None:
    client, (server,) = connected()
    server.faults.append(failing(server, grpc.StatusCode.INTERNAL, "INTERNAL"))
    with client.stream(PIPELINE) as stream:
        assert next(stream).step == 0
        for _ in range(2):
            with pytest.raises(inkstream.ServerFailure):
                next(stream)


def test_a_later_range_that_fails_does_not_take_the_earlier_ones_with_it(connected: Any) -> None:
    client, (server,) = connected(samples=200)
    failed = threading.Event()

    def fail_second(request: Any, context: Any) -> None:
        if request.first_step == 64:
            failed.set()
            server.refuse(context, grpc.StatusCode.INTERNAL, "INTERNAL", "on purpose")
        assert failed.wait(WAIT_S)

    server.always = fail_second
    with client.stream(PIPELINE.replace(batch_size=1)) as stream:
        assert [next(stream).step for _ in range(64)] == list(range(64))
        with pytest.raises(inkstream.ServerFailure):
            next(stream)


def test_what_the_server_refuses_is_named(connected: Any) -> None:
    client, _ = connected(timeout_s=1000)
    with pytest.raises(inkstream.UnknownDataset, match="no dataset 'scribbles'; there is doodles"):
        client.dataset("scribbles")
    with pytest.raises(inkstream.EmptySplit, match="0 samples in validation"):
        client.stream(PIPELINE.replace(split="validation"))


# Servers that do not answer.


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a listener that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    accepted.append(listener.accept()[0])
            except OSError:
                pass

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT_S)
        for connection in accepted:
            connection.close()


def test_a_server_that_never_answers_is_an_error_in_time(silent: str) -> None:
    with inkstream.connect(silent, timeout_s=1.5) as client:
        for ask in (client.datasets, lambda: client.dataset("doodles"), lambda: client.stream(PIPELINE)):
            started = time.monotonic()
            with pytest.raises((inkstream.DeadlineExceeded, inkstream.ServerUnavailable)):
                ask()
            assert time.monotonic() - started < 6


def test_another_server_answers_for_one_that_never_does(connected: Any, silent: str) -> None:
    _, (server,) = connected()
    with inkstream.connect([silent, server.address], timeout_s=WAIT_S) as client:
        assert client.dataset("doodles").samples == 1000


def test_a_stream_that_stalls_is_an_error_in_time(connected: Any) -> None:
    client, (server,) = connected(timeout_s=1.5)
    server.always = server.stall
    started = time.monotonic()
    with pytest.raises(inkstream.DeadlineExceeded, match=server.address):
        next(client.stream(PIPELINE))
    assert time.monotonic() - started < 6


def test_closing_does_not_wait_for_a_server_that_stalls(connected: Any) -> None:
    client, (server,) = connected(timeout_s=1000)
    server.always = server.stall
    with client.stream(PIPELINE):
        assert server.stalled.wait(WAIT_S)
        started = time.monotonic()
    assert time.monotonic() - started < 3


def test_nobody_listening_is_an_error_in_time() -> None:
    with inkstream.connect("127.0.0.1:1", timeout_s=0.7) as client:
        started = time.monotonic()
        with pytest.raises(inkstream.ServerUnavailable, match=r"^127\.0\.0\.1:1: "):
            client.datasets()
        assert 0.6 < time.monotonic() - started < 30  # not the minute that is allowed by default


# Answers that no client should trust.


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: answer.ClearField("tensors"),
        lambda answer: setattr(answer, "steps_per_epoch", 1 << 62),
        lambda answer: setattr(answer, "samples", -5),
        lambda answer: setattr(answer.tensors[0], "dtype", 99),
        lambda answer: setattr(answer.tensors[0], "name", "label"),
        lambda answer: setattr(answer.tensors[0], "paper", b"123"),
        lambda answer: answer.tensors[0].shape.__setitem__(0, 9),
        lambda answer: answer.tensors[0].shape.__setitem__(1, -1),
        lambda answer: answer.tensors[0].shape.__setitem__(slice(None), []),
        lambda answer: answer.tensors[0].shape.__setitem__(1, 0),
    ],
)
def test_descriptions_that_cannot_be_are_refused(connected: Any, change: Callable[[Any], None]) -> None:
    client, (server,) = connected()
    server.change_resolved = change
    with pytest.raises(inkstream.ServerFailure, match="upgrade inkstream"):
        client.stream(PIPELINE)


def test_a_description_of_enormous_batches_is_refused_by_the_budget(connected: Any) -> None:
    client, (server,) = connected()
    server.change_resolved = lambda answer: answer.tensors[0].shape.__setitem__(1, 1 << 40)
    with pytest.raises(inkstream.InvalidRequest, match="memory_bytes must be at least"):
        client.stream(PIPELINE)
