"""4,000 clients connect and go away in the middle of something: no thread, descriptor or memory of them stays.

`python -m tests.chaos.connects [--seed N]`. Seven ways to go, drawn at random. Two figures need a warm server: its
pools create a thread when all others are busy and keep it, and the allocator keeps what it once had. So bursts of calls
come first, until they create no thread any more, and both are compared after 4,000 clients with after 2,000.
Messages are of 64 KiB: with the usual ones of 1 MiB a hundred threads' arenas differ by several MiB from one look to
the next, and a kibibyte that each client left behind would not be seen.
"""

import argparse
import os
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import grpc

from inkstream.v1 import batch_service_pb2 as pb
from inkstream.v1.batch_service_pb2_grpc import BatchServiceStub
from tests.chaos.harness import Node, Verdict, run, scratch, seeded
from tests.chaos.process_memory import MIB, anonymous_bytes, descriptors, threads
from tests.chaos.stalled_peers import STREAM_BATCHES, request_for
from tests.http2_peer import Http2Peer

CLIENTS = 4_000
MOST_GROWN_BYTES = 2 * MIB
TIMEOUT_S = 20.0
# More calls at once than the server has threads.
BURST = 300
# 16 rows in a message.
PIXELS = 64
OPTIONS = ("--memory", "64", "--cache", "0", "--max-streams", "8")
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
SETTLED_S = 2.0
_LOOK_S = 0.1


@dataclass(frozen=True)
class Target:
    """A server, and what to ask it for."""

    address: str
    request: bytes


def connects(target: Target, rng: random.Random) -> None:
    """And closes."""
    _socket(target).close()


def resets(target: Target, rng: random.Random) -> None:
    """Sends a reset where others close, and a part of HTTP/2's preface before."""
    with _socket(target) as peer:
        peer.sendall(b"PRI * HTTP/2.0"[: rng.randrange(1, 14)])
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(target: Target, rng: random.Random) -> None:
    """Speaks no HTTP/2, and goes when the server has closed."""
    with _socket(target) as peer:
        peer.sendall(rng.choice((b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", rng.randbytes(500))))
        peer.shutdown(socket.SHUT_WR)
        try:
            while peer.recv(4096):
                pass
        except ConnectionResetError:
            pass


def asks_nothing(target: Target, rng: random.Random) -> None:
    """Opens calls and sends no request, or half of one."""
    with Http2Peer(target.address) as peer:
        for _ in range(rng.randrange(1, 4)):
            stream = peer.open_call(rng.choice((STREAM_BATCHES, HEALTH_CHECK, "/no/such")))
            if rng.random() < 0.5:
                peer.begin_request(stream, target.request)


def leaves_at_once(target: Target, rng: random.Random) -> None:
    """Asks for an epoch and leaves."""
    with Http2Peer(target.address) as peer:
        peer.send_request(peer.open_call(STREAM_BATCHES), target.request)


def leaves_in_a_message(target: Target, rng: random.Random) -> None:
    """Reads a part of the first message."""
    with Http2Peer(target.address) as peer:
        peer.send_request(peer.open_call(STREAM_BATCHES), target.request)
        for _ in range(rng.randrange(1, 8)):
            peer.socket.recv(16_384)


def cancels(target: Target, rng: random.Random) -> None:
    """Cancels calls as gRPC does, before and after the first message."""
    with grpc.insecure_channel(target.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_stream(STREAM_BATCHES)(target.request, timeout=TIMEOUT_S)
        if rng.random() < 0.5:
            next(call)
        call.cancel()
        BatchServiceStub(channel).ListDatasets.future(pb.ListDatasetsRequest(), timeout=TIMEOUT_S).cancel()


WAYS: tuple[Callable[[Target, random.Random], None], ...] = (
    connects,
    resets,
    garbage,
    asks_nothing,
    leaves_at_once,
    leaves_in_a_message,
    cancels,
)


def _socket(target: Target) -> socket.socket:
    host, _, port = target.address.rpartition(":")
    return socket.create_connection((host, int(port)), TIMEOUT_S)


def _come_and_go(target: Target, clients: int, rng: random.Random) -> None:
    for _ in range(clients):
        rng.choice(WAYS)(target, rng)


def _settles(pid: int, before: Counter[str]) -> bool:
    """Whether the server soon has no other descriptors than before, and keeps to that: it accepts late when busy."""
    deadline, since = time.monotonic() + TIMEOUT_S, time.monotonic()
    while time.monotonic() < min(deadline, since + SETTLED_S):
        if descriptors(pid) != before:
            since = time.monotonic()
        time.sleep(_LOOK_S)
    return time.monotonic() < deadline


def _fill_pools(target: Target, pid: int) -> None:
    """Sends bursts of calls until five in a row have created no thread."""
    rng = random.Random(0)
    for _ in range(BURST):
        leaves_in_a_message(target, rng)
    most, unchanged = threads(pid), 0
    while unchanged < 5:
        for path in (STREAM_BATCHES, HEALTH_CHECK):
            with Http2Peer(target.address) as peer:
                for _ in range(BURST):
                    peer.open_call(path)
                peer.wait_until_ended(TIMEOUT_S)
        unchanged = unchanged + 1 if threads(pid) <= most else 0
        most = max(most, threads(pid))


def prove(node: Node, rng: random.Random, verdict: Verdict) -> None:
    """Sends the clients and looks at the server."""
    before = descriptors(node.pid)
    with grpc.insecure_channel(node.address) as channel:
        target = Target(node.address, request_for(channel, seed=1, pixels=PIXELS))
    _fill_pools(target, node.pid)
    _settles(node.pid, before)
    counted, anonymous = {0: threads(node.pid)}, {0: anonymous_bytes(node.pid)}
    print("clients  threads  descriptors  anonymous MiB")
    print(f"{0:7} {counted[0]:8} {before.total():12} {anonymous[0] / MIB:14.1f}")
    for clients in (CLIENTS // 2, CLIENTS):
        begun = time.monotonic()
        _come_and_go(target, CLIENTS // 2, rng)
        took_s = time.monotonic() - begun
        gone = _settles(node.pid, before)
        counted[clients], anonymous[clients] = threads(node.pid), anonymous_bytes(node.pid)
        print(
            f"{clients:7} {counted[clients]:8} {descriptors(node.pid).total():12} {anonymous[clients] / MIB:14.1f}"
            f"  ({took_s:.0f} s, load average {os.getloadavg()[0]:.1f})"
        )
        verdict.check(gone, f"no descriptor is left after {clients:,}", dict(descriptors(node.pid) - before))
    half = counted[CLIENTS // 2]
    verdict.check(
        counted[CLIENTS] <= half, "the last 2,000 leave no thread", f"{half} before, {counted[CLIENTS]} after"
    )
    grown = anonymous[CLIENTS] - anonymous[CLIENTS // 2]
    verdict.check(grown < MOST_GROWN_BYTES, "the last 2,000 cost less than 2 MiB", f"{grown / MIB:.2f} MiB")


def main() -> int:
    """One server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    rng = seeded(parser.parse_args().seed)
    verdict = Verdict()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch(1_000))
        prove(stack.enter_context(Node(folder, "server", *OPTIONS)), rng, verdict)
    return verdict.exit_code()


if __name__ == "__main__":
    run(main)
