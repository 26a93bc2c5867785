"""Who is asked next: preference, health, and for how long."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inkstream.attempts import Attempts
from inkstream.channel import Server
from inkstream.errors import (
    CorruptChunk,
    DeadlineExceeded,
    InkstreamError,
    RottenData,
    ServerDraining,
    ServerFailure,
    ServerFull,
    ServerMismatch,
    ServerUnavailable,
)
from inkstream.health import BACKOFF_BASE_S, BACKOFF_CAP_S, Health
from inkstream.resolver import AddressBook, Endpoint, parse_targets, resolve_name
from inkstream.servers import ServerSet, by_preference

TIMEOUT_S = 20.0


@pytest.fixture
def server_set() -> Iterator[Callable[[int], ServerSet]]:
    """`server_set(3)`: servers that nobody connects to."""
    made: list[ServerSet] = []

    def make(count: int) -> ServerSet:
        book = AddressBook(parse_targets([f"127.0.0.1:{port}" for port in range(1, count + 1)]), resolve_name)
        made.append(ServerSet(book, Server))
        return made[-1]

    yield make
    for servers in made:
        servers.close()


class Clock:
    """A time that only moves when told; failures are told to servers at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 1000.0
        monkeypatch.setattr("inkstream.channel.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


# Preference.


def test_keys_spread_over_servers_and_only_move_from_a_server_that_goes(server_set: Any) -> None:
    five = server_set(5).current()
    keys = [f"key {index}" for index in range(500)]
    first = {key: by_preference(five, key)[0] for key in keys}
    assert all(60 < list(first.values()).count(server) < 140 for server in five)
    for key in keys:
        assert by_preference(list(reversed(five)), key) == by_preference(five, key)
        if first[key] is not five[2]:
            assert by_preference([*five[:2], *five[3:]], key)[0] is first[key]


# Attempts.


def test_a_server_that_fails_yields_to_the_next_until_it_answers_a_probe(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    assert tries.choose(clock.now) is one
    tries.failed(one, ServerUnavailable("down"))
    assert tries.choose(clock.now) is two
    tries.failed(two, ServerFull("full", retry_after_s=5))
    clock.now += 4
    assert tries.choose(clock.now) is None
    one.health.probe_answered()
    assert tries.choose(clock.now) is one


def test_a_suspect_is_the_last_resort(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    one.health.doubt()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    assert tries.choose(clock.now) is two
    tries.failed(two, ServerUnavailable("down"))
    assert tries.choose(clock.now) is one
    one.health.probe_answered()
    two.health.probe_answered()
    assert Attempts(servers, TIMEOUT_S, clock.now).choose(clock.now) is one


def test_a_second_copy_never_goes_to_one_that_is_busy_full_or_in_doubt(server_set: Any, clock: Clock) -> None:
    servers = server_set(5)
    one, two, three, four, five = servers.current()
    two.health.doubt()
    three.failed(ServerFull("full"))
    four.failed(ServerUnavailable("down"))
    clock.now += TIMEOUT_S  # three has rested, and still has said that it is full
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    assert tries.another(clock.now, {}, [one], hedge=True) is five
    refused: dict[Server, InkstreamError] = {five: ServerMismatch("five")}
    assert tries.another(clock.now, refused, [one], hedge=True) is None
    assert tries.another(clock.now, refused, [one], hedge=False) is three
    three.health.delivered()
    assert tries.another(clock.now, refused, [one], hedge=True) is three


def test_a_server_that_refuses_is_not_asked_again(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    tries.failed(one, ServerFailure("one"))
    assert tries.choose(clock.now) is two
    tries.failed(two, ServerFailure("two"))
    with pytest.raises(ServerFailure, match="one; two"):
        tries.choose(clock.now)
    assert tries.choose(clock.now, busy=[one]) is None  # a second copy is still being read
    refused: dict[Server, InkstreamError] = {one: ServerMismatch("other pixels"), two: ServerMismatch("other data")}
    with pytest.raises(ServerMismatch, match="other pixels; other data"):
        Attempts(servers, TIMEOUT_S, clock.now).choose(clock.now, refused)


def test_rot_is_what_is_raised_where_nobody_else_delivers(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    tries.failed(one, RottenData("rotten"))
    tries.failed(two, ServerFailure("two"))
    with pytest.raises(RottenData):
        tries.choose(clock.now)


def test_rot_waits_for_a_dead_server_once_and_not_at_every_record(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    two.failed(ServerUnavailable("down"))
    for wait_s in (TIMEOUT_S, 0.0):  # the second record finds a server that has been gone for long enough
        tries = Attempts(servers, TIMEOUT_S, clock.now)
        tries.failed(one, RottenData("rotten"))
        if wait_s:
            assert tries.choose(clock.now + wait_s - 1) is None
        clock.now += wait_s
        with pytest.raises(RottenData):
            tries.choose(clock.now)
    two.health.probe_answered()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    tries.failed(one, RottenData("rotten"))
    assert tries.choose(clock.now) is two


def test_rot_of_one_chunk_says_nothing_of_the_next(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    tries.failed(one, RottenData("chunk 3"))
    tries.progressed(clock.now)  # two has delivered it
    tries.failed(two, RottenData("chunk 5"))
    assert tries.choose(clock.now) is one


def test_time_without_progress_ends_in_the_last_errors(server_set: Any, clock: Clock) -> None:
    servers = server_set(2)
    one, two = servers.current()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    tries.failed(one, ServerUnavailable("one is down"))
    tries.failed(two, ServerFull("two is full"))
    assert tries.choose(clock.now + TIMEOUT_S - 0.1) is two
    tries.waited_from(clock.now + 5)  # something came for another range
    assert tries.choose(clock.now + TIMEOUT_S) is two
    with pytest.raises(ServerUnavailable, match="one is down; two is full"):
        tries.choose(clock.now + TIMEOUT_S + 5)
    with pytest.raises(DeadlineExceeded, match="no answer in 20 s"):
        Attempts(server_set(1), TIMEOUT_S, clock.now).choose(clock.now + TIMEOUT_S)


def test_progress_forgives_corruption(server_set: Any, clock: Clock) -> None:
    servers = server_set(1)
    (only,) = servers.current()
    tries = Attempts(servers, TIMEOUT_S, clock.now)
    for _ in range(20):
        tries.failed(only, CorruptChunk("corrupt"))
        tries.progressed(clock.now)
    with pytest.raises(CorruptChunk):
        for _ in range(20):
            tries.failed(only, CorruptChunk("corrupt"))


# Health.


def test_rests_grow_with_failures_in_a_row_and_are_bounded() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    health = Health(uniform)
    for failure in range(1, 40):
        now = health.ready_at
        assert health.failed(DeadlineExceeded("late"), now)
        assert drawn[-1] == (0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**failure))
        assert health.ready_at == now + drawn[-1][1]
        assert not health.failed(DeadlineExceeded("late"), now)  # another reader tells of the same failure
    health.delivered()
    health.failed(DeadlineExceeded("late"), health.ready_at)
    assert drawn[-1] == (0, 2 * BACKOFF_BASE_S)


def test_a_rest_is_at_least_what_the_server_asked_for() -> None:
    health = Health()
    for _ in range(20):  # who finds no place does not ask ever more seldom
        now = health.ready_at
        health.failed(ServerFull("full", retry_after_s=5), now)
        assert not health.usable(now + 4.9) and health.usable(now + 10)
    health = Health()
    health.failed(ServerDraining("stopping", retry_after_s=5), 100)
    assert not health.begin_probe(104.9) and health.begin_probe(105 + BACKOFF_CAP_S)


def test_a_server_that_is_down_comes_back_by_a_probe_alone() -> None:
    health = Health(lambda low, high: high)
    health.failed(ServerUnavailable("down"), 100)
    assert not health.usable(10_000)
    for attempt in range(20):
        start = 200.0 + 10 * attempt
        assert health.begin_probe(start) and not health.begin_probe(start + 1)  # one at a time
        health.probe_failed(ServerUnavailable("still down"), start + 1)
        assert not health.begin_probe(start + 1) and health.down_since == 100
    assert health.begin_probe(1000)
    health.probe_answered()
    assert health.usable(1000) and health.last_error is None and health.down_since is None


def test_the_wait_for_an_answer_counts_from_the_first_probe_without_one() -> None:
    health = Health()
    assert health.unanswered_s(100) == 0
    assert health.begin_probe(100)
    health.probe_lost()
    assert health.begin_probe(102) and health.unanswered_s(103) == 3
    health.probe_answered()
    assert health.unanswered_s(104) == 0
    assert not health.begin_probe(102.5, every_s=1) and health.begin_probe(103, every_s=1)


# Membership.


def test_names_are_looked_up_again_and_servers_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkstream.servers.LOOK_UP_S", 0.0)
    found = ["127.0.0.1:1"]

    def look_until(addresses: set[str]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while {server.address for server in servers.current()} != addresses:
            assert time.monotonic() < deadline
            servers.look_after()
            time.sleep(0.001)

    servers = ServerSet(AddressBook(parse_targets("dns:///name:1"), lambda name, port: list(found)), Server)
    assert servers.current() == ()
    look_until({"127.0.0.1:1"})
    (kept,) = servers.current()
    found.append("127.0.0.1:2")
    look_until({"127.0.0.1:1", "127.0.0.1:2"})
    assert kept in servers.current()
    found.remove("127.0.0.1:1")
    look_until({"127.0.0.1:2"})
    with pytest.raises(ServerUnavailable, match="no longer one of the servers"):
        kept.list_datasets(None, 1)  # type: ignore[arg-type]
    servers.close()


def test_a_server_that_is_gone_finishes_what_it_does(fake_server: Any) -> None:
    fake = fake_server()
    server = Server(Endpoint(fake.address, "127.0.0.1"))
    with server._connection.methods() as methods:
        server.retire()
        assert methods.health_check(b"", timeout=TIMEOUT_S)
    with pytest.raises(ValueError, match="closed"):
        methods.health_check(b"", timeout=TIMEOUT_S)
