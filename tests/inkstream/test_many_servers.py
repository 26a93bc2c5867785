"""Several servers: late ranges, servers that freeze, come, go and differ; whatever happens, every batch is right."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

import inkstream
from inkstream.v1 import batch_service_pb2 as pb
from tests.fake_server import check_all

WAIT_S = 20
# 16 ranges of 64 steps: ten before the first hedge is allowed, and some on every server.
PIPELINE = inkstream.Pipeline(dataset="doodles", batch_size=1, render=inkstream.Render(size=16))


def test_ranges_are_moved_from_a_server_that_freezes_and_new_ones_pass_it_over_until_it_thaws(connected: Any) -> None:
    client, (alive, frozen) = connected(servers=2, timeout_s=1000)
    client.resolve(PIPELINE)
    frozen.freeze()
    started = time.monotonic()
    stats = check_all(client.stream(PIPELINE), alive, PIPELINE)
    assert time.monotonic() - started < 10  # and not until the connection is given up after 13 s
    assert 1 <= stats.moves == stats.servers[frozen.address].moves <= 4  # those that were under way
    assert stats.hedges <= stats.ranges // 10
    assert stats.servers[frozen.address].chunks == 0
    asked = len(frozen.requests)
    check_all(client.stream(PIPELINE), alive, PIPELINE)
    assert len(frozen.requests) == asked and frozen.probes > 0
    frozen.thaw()
    with client.stream(PIPELINE, epochs=None, memory_bytes=4 << 20) as stream:
        for batch in stream:  # until it has answered a probe
            if stream.stats().servers[frozen.address].rows > 0:
                break
            assert batch.epoch < 50


def test_a_late_range_of_a_live_server_gets_one_second_copy_and_the_loser_is_cancelled(connected: Any) -> None:
    client, (good, slow) = connected(servers=2)
    cancelled = threading.Event()

    def stall_once(request: Any, context: Any) -> None:
        context.add_callback(cancelled.set)
        slow.stall(request, context)

    slow.faults.append(stall_once)  # after its first chunk
    stats = check_all(client.stream(PIPELINE), good, PIPELINE)
    assert cancelled.wait(WAIT_S)
    assert (stats.hedges, stats.servers[good.address].hedges, stats.moves) == (1, 1, 0)
    assert stats.retries == 0 and slow.probes > 0


def test_a_second_copy_is_never_asked_of_a_server_that_is_full(connected: Any) -> None:
    client, (full, slow) = connected(servers=2)
    release = threading.Event()

    def refuse(request: Any, context: Any) -> None:
        info = full.retry_info(0.0)
        full.refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_FULL", "full", info)

    def stall_until_late(request: Any, context: Any) -> None:
        assert release.wait(WAIT_S)

    full.always = refuse
    slow.faults.append(stall_until_late)
    with client.stream(PIPELINE) as stream:
        threading.Timer(2.0, release.set).start()  # twice the time after which a range is late
        assert len(list(stream)) == 1000
    assert stream.stats().hedges == 0 and slow.probes > 0


@pytest.fixture
def doubled(connected: Any) -> tuple[inkstream.Client, Any, Any, threading.Event]:
    """A client, two servers that both send one chunk of one range, and an event that is set when they do.

    The slow one stops after its first chunk until the fast one, asked for a second copy, has sent its first; that one
    then stops until the slow one's call has ended.
    """
    client, (fast, slow) = connected(servers=2)
    both, slow_ended = threading.Event(), threading.Event()
    begun: list[int] = []

    def slow_down(request: Any, context: Any) -> None:
        context.add_callback(slow_ended.set)
        begun.append(request.first_step)
        assert both.wait(WAIT_S)

    def hold(request: Any, context: Any) -> None:
        if begun and request.first_step == begun[0] + 1:
            fast.faults.append(stop)

    def stop(request: Any, context: Any) -> None:
        both.set()
        assert slow_ended.wait(WAIT_S)

    fast.always = hold
    slow.faults.append(slow_down)
    return client, fast, slow, both


def test_two_answers_that_are_equal_are_one(doubled: Any) -> None:
    client, fast, _, _ = doubled
    stats = check_all(client.stream(PIPELINE), fast, PIPELINE)
    assert (stats.hedges, stats.retries) == (1, 0) and stats.duplicate_chunks >= 1
    assert sum(each.rows for each in stats.servers.values()) == 1000 + stats.duplicate_chunks


def test_two_answers_that_differ_are_an_error_that_names_both_servers(doubled: Any) -> None:
    client, fast, slow, _ = doubled
    slow.paint = 77
    with (
        client.stream(PIPELINE) as stream,
        pytest.raises(inkstream.ServersDisagree, match="different rows 0 to 1") as e,
    ):
        list(stream)
    assert fast.address in str(e.value) and slow.address in str(e.value)


def test_a_second_answer_that_is_corrupt_is_no_difference(doubled: Any) -> None:
    client, fast, slow, both = doubled
    left = [True]

    def corrupt_once(messages: list[bytes]) -> list[bytes]:
        if not (both.is_set() and left and left.pop()):
            return messages
        response = pb.StreamBatchesResponse.FromString(messages[0])
        response.chunk.checksum ^= 1
        return [response.SerializeToString()]

    slow.change_messages = corrupt_once
    stats = check_all(client.stream(PIPELINE), fast, PIPELINE)
    assert (stats.hedges, stats.retries) == (1, 1)


# Servers that come and go.


@pytest.fixture
def named(fake_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """`named([server])` connects by a name, which stands for what is in the list when it is looked up."""
    monkeypatch.setattr("inkstream.servers.LOOK_UP_S", 0.05)
    clients = []

    def connect(servers: list[Any], **settings: Any) -> inkstream.Client:
        def resolver(name: str, port: int) -> list[str]:
            assert (name, port) == ("servers", 7)
            if not servers:
                raise OSError("unknown")
            return [server.address for server in servers]

        clients.append(inkstream.connect("dns:///servers:7", resolver=resolver, **settings))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def test_a_server_that_is_added_in_mid_epoch_delivers(fake_server: Any, named: Any) -> None:
    servers = [fake_server(samples=5000)]
    client = named(servers)
    with client.stream(PIPELINE, epochs=None, memory_bytes=4 << 20) as stream:
        next(stream)
        servers.append(fake_server(samples=5000))
        for batch in stream:
            expected = servers[0].expected(PIPELINE, batch.epoch, batch.step)
            assert np.array_equal(batch["image"], expected["image"])
            if servers[1].address in (by := stream.stats().servers) and by[servers[1].address].rows > 500:
                break
            assert batch.epoch < 3


def test_a_server_that_leaves_the_name_or_drains_hands_over(fake_server: Any, named: Any) -> None:
    leaving, draining, staying = servers = [fake_server(samples=1500) for _ in range(3)]
    client = named(servers)
    with client.stream(PIPELINE, memory_bytes=4 << 20) as stream:
        for batch in stream:
            assert np.array_equal(batch["image"], staying.expected(PIPELINE, batch.epoch, batch.step)["image"])
            if batch.step == 300:
                servers.remove(leaving)
                draining.always = lambda request, context: draining.refuse(
                    context, grpc.StatusCode.UNAVAILABLE, "DRAINING", "stopping", draining.retry_info(5)
                )
                draining.serving = False
    assert batch.step == 1499
    assert len(draining.requests) < 40 and stream.stats().servers[leaving.address].failures == 0


def test_a_name_that_does_not_resolve_yet_is_tried_again(fake_server: Any, named: Any) -> None:
    servers: list[Any] = []
    client = named(servers, timeout_s=WAIT_S)
    threading.Timer(0.3, lambda: servers.append(fake_server())).start()
    assert client.dataset("doodles").samples == 1000


def test_a_name_that_never_resolves_is_an_error_in_time(named: Any) -> None:
    client = named([], timeout_s=0.5)
    with pytest.raises(inkstream.ServerUnavailable, match="servers: the name does not resolve"):
        client.datasets()


# Servers that are not the run's.


def differ(server: Any, how: str) -> str:
    """Makes a server another one; returns what an error must say of it."""
    if how == "version":
        server.renderer = pb.Renderer(version=4, self_test_digest="5e1f")
        return "renderer version 4"
    if how == "self-test":
        server.renderer = pb.Renderer(version=3, self_test_digest="0ther")
        return "0ther"
    server.fingerprint = "f2"
    return "f2"


@pytest.mark.parametrize("how", ["version", "self-test", "fingerprint"])
def test_where_no_server_matches_each_is_named_at_once(connected: Any, how: str) -> None:
    client, servers = connected(servers=2, timeout_s=1000)
    stream = client.stream(PIPELINE.replace(seed=1), epochs=None, memory_bytes=4 << 20)
    next(stream)
    said = [differ(server, how) for server in servers]
    with stream, pytest.raises(inkstream.ServerMismatch) as caught:
        for _ in stream:
            pass
    for server, what in zip(servers, said, strict=True):
        assert server.address in str(caught.value) and what in str(caught.value)


def test_a_server_that_comes_back_right_is_asked_again(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkstream.ranges.REFUSED_S", 0.05)
    client, (good, other) = connected(servers=2)
    right, other.fingerprint = other.fingerprint, "f2"
    assert check_all(client.stream(PIPELINE), good, PIPELINE).servers[other.address].chunks == 0
    with client.stream(PIPELINE, epochs=None, memory_bytes=4 << 20) as stream:
        for batch in stream:
            if batch.cursor == (1, 0):
                other.fingerprint = right
            if stream.stats().servers[other.address].rows > 100:
                break
            assert batch.epoch < 20


def test_a_copy_of_the_data_that_is_missing_is_routed_around(connected: Any) -> None:
    client, (good, other) = connected(servers=2)
    client.resolve(PIPELINE)
    other.always = lambda request, context: other.refuse(
        context, grpc.StatusCode.NOT_FOUND, "UNKNOWN_DATASET", "no dataset"
    )
    assert check_all(client.stream(PIPELINE), good, PIPELINE).servers[other.address].chunks == 0


def test_a_server_that_is_too_old_for_the_pipeline_is_routed_around(connected: Any) -> None:
    client, (good, old) = connected(servers=2)
    client.resolve(PIPELINE)
    old.always = lambda request, context: old.refuse(
        context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "unknown field 99"
    )
    assert check_all(client.stream(PIPELINE), good, PIPELINE).servers[old.address].chunks == 0


# Rotten records.


def test_only_a_chunk_that_is_rotten_on_every_server_gets_blanks(connected: Any) -> None:
    client, (one, two) = connected(servers=2)
    asked = PIPELINE.replace(shuffle=False)
    one.rotten_key_ids = {1100, 1110}
    two.rotten_key_ids = {1110, 1120}
    with client.stream(asked) as stream:
        masks = {int(batch["key_id"][0]): int(batch["mask"][0]) for batch in stream}
    assert [key_id for key_id, mask in masks.items() if not mask] == [1110]
    assert stream.stats().blank_key_ids == (1110,)


def test_what_one_server_found_rotten_is_forgotten_once_another_has_delivered_it(
    connected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first server of a range stops after a row; the second copy then runs into rot where the first goes on."""
    monkeypatch.setattr("inkstream.hedging.HEDGE_SHARE", 1.0)
    client, servers = connected(servers=2, samples=8)
    hedged = threading.Event()
    order: list[Any] = []

    def wait_until(true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def begin(server: Any) -> None:
        if server in order:
            return
        order.append(server)
        if len(order) == 1:
            server.rotten_key_ids = {1003}
            server.faults.append(lambda request, context: hedged.wait(WAIT_S))
            server.change_messages = stop_before_the_rot
        else:
            server.rotten_key_ids = {1001}
            hedged.set()
            wait_until(lambda: stream.stats().servers[order[0].address].chunks == 3)

    def stop_before_the_rot(messages: list[bytes]) -> Iterator[bytes]:
        yield from messages
        if pb.StreamBatchesResponse.FromString(messages[0]).chunk.step == 2:  # the second copy's rot is known by then
            wait_until(lambda: stream.stats().retries == 1 or len(order[1].requests) == 2)

    for server in servers:
        server.always = lambda request, context, server=server: begin(server)
    with client.stream(PIPELINE.replace(shuffle=False)) as stream:
        assert [int(batch["mask"][0]) for batch in stream] == 8 * [1]
    assert stream.stats().blank_rows == 0


def test_rot_waits_once_for_a_server_that_is_dead(connected: Any) -> None:
    client, (rotten, dead) = connected(servers=2, timeout_s=1)
    client.resolve(PIPELINE)
    dead.stop()
    rotten.rotten_key_ids = set(range(1000, 1040))
    started = time.monotonic()
    with client.stream(PIPELINE) as stream:
        assert sum(1 - int(batch["mask"][0]) for batch in stream) == 40
    assert time.monotonic() - started < 15  # and not a second for each


# What requests say.


def test_requests_say_how_much_the_trainer_could_take(connected: Any) -> None:
    client, servers = connected(servers=2)
    with client.stream(PIPELINE, memory_bytes=4 << 20) as stream:
        for _ in stream:
            threading.Event().wait(0.001)  # a trainer's work
    first, *_, last = sorted((each for server in servers for each in server.requests), key=lambda each: each.first_step)
    assert first.demand_rows_per_s == 0
    assert 0 < last.demand_rows_per_s <= 500  # half of it from each of the two
    assert len({each.stream_id for server in servers for each in server.requests}) == 1
