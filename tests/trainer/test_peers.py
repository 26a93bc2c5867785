"""Processes that keep in touch, here threads of one process with real sockets between them."""

import socket
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from inkstream.command_line import Failure
from trainer.hosts.cluster import Cluster
from trainer.hosts.gathering import gather, listening_host
from trainer.hosts.lines import Lines
from trainer.hosts.peers import Peer, Peers, standstill, verdict
from trainer.hosts.relay import Relay

BOUND_S = 60


def peer(number, **known):
    return Peer(number, f"host{number}", **known)


@pytest.mark.parametrize(
    ("peers", "said"),
    [
        ([peer(0), peer(2, silent_s=29)], None),
        ([peer(0, gone=True, finished=True)], None),
        ([peer(0), peer(2, silent_s=30)], "process 2 (host2) has not been heard of for 30 s: it is frozen or cut off"),
        ([peer(2, gone=True)], "process 2 (host2) ended without a word: it was killed, or its machine is gone"),
        ([peer(1, silent_s=99), peer(2, gone=True)], "process 2 (host2) ended without a word"),
        ([peer(1, gone=True), peer(2, gone=True, failure="disk full")], "process 2 (host2) failed: disk full"),
    ],
)
def test_who_is_to_blame(peers, said):
    found = verdict(peers, silence_s=30)
    assert found == said if said is None else found.startswith(said)


def test_a_standstill_names_the_slowest():
    assert "process 1 (b) has finished the fewest" in standstill({"process 0 (a)": 7, "process 1 (b)": 6})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def clusters(processes):
    port = free_port()
    return [Cluster("127.0.0.1", port, processes, number, 30.0) for number in range(processes)]


def at_once(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result(BOUND_S) for done in [pool.submit(*call) for call in calls]]


def test_processes_meet_agree_and_part():
    def take_part(cluster):
        hosts, links, _ = gather(cluster, timeout_s=BOUND_S)
        with Peers(cluster.process, hosts, links, cluster.silence_s) as peers:
            values = [peers.from_first(name, f"{name} of {cluster.process}") for name in ("run", "epoch")]
            if cluster.process == 1:
                peers.leave("was told to stop", 143)
                return values, None
            return values, peers.leaving()

    told = at_once(*((take_part, cluster) for cluster in clusters(3)))
    assert [values for values, _ in told] == [["run of 0", "epoch of 0"]] * 3
    reason = [(f"process 1 ({socket.gethostname()}) was told to stop", 143)]
    assert [leaving for _, leaving in told] == [reason, None, reason]


def failure(call, *arguments, **named):
    with pytest.raises(Failure) as raised:
        call(*arguments, **named)
    return str(raised.value)


def test_who_does_not_come_is_named():
    first, second, _ = clusters(3)
    told = at_once((failure, gather, first, 3.0), (failure, gather, second, BOUND_S))
    assert told[0].startswith("of 3 processes these did not come in time: 2. Start the same command")
    assert failure(gather, second, timeout_s=0.2).startswith(
        "process 0 of 3 did not answer in time at --coordinator 127."
    )


def test_a_process_too_many_is_refused_and_the_others_meet():
    first, second, _ = clusters(3)
    other = Cluster("127.0.0.1", first.port, 2, 1, 30.0)
    third = Cluster("127.0.0.1", first.port, 3, 2, 30.0)
    with ThreadPoolExecutor(4) as pool:
        met = pool.submit(gather, first, BOUND_S)
        stranger = connected(first.port)
        stranger.sendall(b"GET / HTTP/1.1\r\n")
        assert "--processes must be the same everywhere: process 0 has 3, process 1 2" in failure(gather, other)
        twins = [pool.submit(gather, second, BOUND_S) for _ in range(2)]
        (refused,), (came,) = wait(twins, BOUND_S, return_when=FIRST_COMPLETED)  # who comes first has the number
        with pytest.raises(Failure, match="a --process-id of its own: 1 is at work"):
            refused.result()
        everybody = [gather(third, BOUND_S), met.result(BOUND_S), came.result(BOUND_S)]
    assert [len(gathered.hosts) for gathered in everybody] == [3, 3, 3]
    stranger.close()
    for gathered in everybody:
        for link in gathered.links.values():
            link.close()


def connected(port):
    """A connection to who will listen there in a moment."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), BOUND_S)
        except ConnectionRefusedError:
            continue


@pytest.mark.parametrize(
    "hello",
    [
        {"kind": "hello"},
        {"kind": "hello", "process": [1], "processes": 2, "host": "h"},
        {"kind": "hello", "process": 7, "processes": 2, "host": "h"},
    ],
)
def test_what_a_stranger_says_keeps_nobody_from_meeting(hello):
    first, second = clusters(2)
    with ThreadPoolExecutor(1) as pool:
        met = pool.submit(gather, first, BOUND_S)
        stranger = Lines(connected(first.port))
        stranger.send(**hello)
        stranger.receive(BOUND_S)  # that it was heard
        links = [*gather(second, BOUND_S).links.values(), *met.result(BOUND_S).links.values(), stranger]
    for link in links:
        link.close()


def test_loopback_stays_loopback():
    assert listening_host("localhost") == listening_host("127.0.0.1") == "127.0.0.1"
    assert listening_host("::1") == "::1"
    assert listening_host("10.0.0.4") == listening_host("trainer-0.trainer") == ""


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_processes_meet_over_ipv6():
    port = free_port()
    met = at_once(*((gather, Cluster("::1", port, 2, number, 30.0), BOUND_S) for number in range(2)))
    assert [len(gathered.hosts) for gathered in met] == [2, 2]
    for gathered in met:
        for link in gathered.links.values():
            link.close()


def test_a_relay_passes_on_and_outlives_its_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay("127.0.0.1", listener.getsockname()[1])
        client = socket.create_connection(("127.0.0.1", int(relay.address.rpartition(":")[2])), BOUND_S)
        server, _ = listener.accept()
        with client:
            with server:
                client.sendall(b"question")
                assert server.recv(100) == b"question"
                server.sendall(b"answer")
                assert client.recv(100) == b"answer"
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):  # silence, not an end
                client.recv(100)
    relay.close()


def test_messages_that_are_none_end_a_connection():
    for sent in (b"not json\n", b"[1]\n", b'{"half": ', b""):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            left = socket.create_connection(listener.getsockname())
            right, _ = listener.accept()
        with left:
            left.sendall(sent)
            left.shutdown(socket.SHUT_WR)
            link = Lines(right)
            assert link.receive() is None
            link.close()
