"""Addresses, the order in which servers are asked, and for how long."""

import socket
import threading
import time
from typing import Any

import pytest

from inkstream.channel import BACKOFF_BASE_S, BACKOFF_CAP_S, Server
from inkstream.errors import CorruptChunk, InvalidRequest, RottenData, ServerFailure, ServerFull, ServerUnavailable
from inkstream.servers import Attempts, addresses_of, by_preference


def servers(count: int) -> list[Server]:
    return [Server(f"127.0.0.1:{port}") for port in range(1, count + 1)]


def test_addresses() -> None:
    assert addresses_of("10.0.0.5:50051") == ["10.0.0.5:50051"]
    assert addresses_of(["a:1", "[::1]:2", "a:1"]) == ["a:1", "[::1]:2"]
    assert "127.0.0.1:7" in addresses_of("dns:///localhost:7")


@pytest.mark.parametrize(
    "target", ["", "a", "a:", ":1", "a:0", "a:65536", "a:b", "http://a:1", "::1:5", "a b:1", [], [""], [None]]
)
def test_what_is_no_address(target: Any) -> None:
    with pytest.raises(InvalidRequest, match="address"):
        addresses_of(target)


def test_every_address_of_a_name_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (host, 50051)) for host in ("10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *name, **options: found)
    assert addresses_of("dns:///batch-server:50051") == ["10.0.0.1:50051", "10.0.0.2:50051", "[fd00::7]:50051"]


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*name: Any, **options: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ServerUnavailable, match="batch-server: the name does not resolve"):
        addresses_of("dns:///batch-server:50051")


def test_keys_spread_over_servers_and_only_move_from_a_server_that_goes() -> None:
    five = servers(5)
    keys = [f"key {index}" for index in range(500)]
    first = {key: by_preference(five, key)[0] for key in keys}
    assert all(60 < list(first.values()).count(server) < 140 for server in five)
    for key in keys:
        assert by_preference(list(reversed(five)), key) == by_preference(five, key)
        if first[key] is not five[2]:
            assert by_preference([*five[:2], *five[3:]], key)[0] is first[key]


def attempts(asked: list[Server], timeout_s: float = 20) -> Attempts:
    return Attempts(asked, timeout_s, threading.Event())


def test_a_server_that_fails_yields_to_the_next() -> None:
    one, two = servers(2)
    tries = attempts([one, two])
    assert tries.next()[0] is one
    tries.failed(one, ServerUnavailable("down"))
    assert tries.next()[0] is two
    tries.failed(two, ServerFull("full", retry_after_s=30))
    assert tries.next()[0] is one


def test_a_server_that_refuses_is_not_asked_again() -> None:
    one, two = servers(2)
    tries = attempts([one, two])
    tries.failed(one, ServerFailure("one"))
    assert tries.next()[0] is two
    with pytest.raises(ServerFailure, match="two"):
        tries.failed(two, ServerFailure("two"))


def test_rot_is_what_is_raised_where_nobody_else_delivers() -> None:
    one, two = servers(2)
    tries = attempts([one, two])
    tries.failed(one, RottenData("rotten"))
    with pytest.raises(RottenData):
        tries.failed(two, ServerFailure("two"))
    one, two = servers(2)
    tries = attempts([one, two], timeout_s=0.2)
    tries.failed(one, RottenData("rotten"))
    with pytest.raises(RottenData):
        while True:
            tries.failed(tries.next()[0], ServerUnavailable("down"))


def test_time_without_progress_ends_in_the_last_error() -> None:
    (only,) = servers(1)
    tries = attempts([only], timeout_s=0.3)
    started = time.monotonic()
    with pytest.raises(ServerUnavailable, match="down"):
        while True:
            server, call_s = tries.next()
            assert 0 < call_s <= 0.3
            tries.failed(server, ServerUnavailable("down"))
    assert 0.3 <= time.monotonic() - started < 3


def test_progress_starts_the_time_anew_and_forgives_corruption() -> None:
    (only,) = servers(1)
    tries = attempts([only])
    for _ in range(20):
        tries.failed(only, CorruptChunk("corrupt"))
        tries.progressed()
    with pytest.raises(CorruptChunk):
        for _ in range(20):
            tries.failed(only, CorruptChunk("corrupt"))


def test_rests_grow_with_failures_in_a_row_and_are_bounded() -> None:
    (server,) = servers(1)
    longest = 0.0
    for failure in range(1, 40):
        server.ready_at = 0.0  # as if it had rested
        server.failed(ServerUnavailable("down"))
        rest = server.ready_at - time.monotonic()
        assert rest <= min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**failure)
        longest = max(longest, rest)
    assert longest > BACKOFF_CAP_S / 4
    server.answered()
    server.ready_at = 0.0
    server.failed(ServerUnavailable("down"))
    assert server.ready_at - time.monotonic() <= 2 * BACKOFF_BASE_S


def test_a_rest_is_at_least_what_the_server_asked_for() -> None:
    (server,) = servers(1)
    server.failed(ServerFull("full", retry_after_s=5))
    assert server.ready_at - time.monotonic() >= 4.9
