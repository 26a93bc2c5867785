"""Twice as many consumers as two servers have places for: no work is wasted, health is answered, a drain loses nothing.

`python -m tests.chaos.overload`. Capacity is what two unpaced consumers get together from two servers of one render
thread each that refuse nobody. All processors are then busy, and every row costs its consumer the same in both cases,
so it is an honest measure although consumers run on the servers' machine. Overload is four unpaced consumers, 16
ranges at a time, on two servers with four places each, so that half of what is asked is refused. The two take turns,
three times each; a rate is the rows that all consumers got while all of them ran, by the wall clock, and medians are
compared. Then one of the full servers is drained in the middle of an overload. Every epoch of a consumer must be the
same in all of them.
"""

import os
import signal
import statistics
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.chaos.consumer import Epoch
from tests.chaos.harness import Consumer, Node, Verdict, nodes, run, scratch, seeded

SAMPLES = 6_000
SERVERS = 2
# A consumer has four ranges under way.
CONSUMERS_AT_CAPACITY = 2
CONSUMERS_AT_OVERLOAD = 4
PLACES = 4
# Of all consumers together, so that both cases are the same work.
EPOCHS = 40
ALTERNATIONS = 3
LEAST_SHARE = 0.9
MOST_HEDGED = 0.1
HEALTH_EVERY_S = 0.1
SLOWEST_HEALTH_S = 1.0
TIMEOUT_S = 120
_SERVER_OPTIONS = ("--threads", "1", "--memory", "256", "--cache", "0")


class HealthChecks:
    """Asks servers every 100 ms how they are; a context manager.

    Args:
        servers: Addresses.

    Attributes:
        slowest_s: The longest wait for an answer; a call that fails while its server is there counts as its timeout.
        answers: How many there were.
    """

    _TIMEOUT_S = 5.0

    def __init__(self, servers: list[Node]):
        self.slowest_s, self.answers = 0.0, 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(server,), daemon=True) for server in servers]

    def _ask(self, server: Node) -> None:
        with grpc.insecure_channel(server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while not self._over.wait(HEALTH_EVERY_S):
                begun = time.monotonic()
                try:
                    stub.Check(health_pb2.HealthCheckRequest(), timeout=self._TIMEOUT_S)
                except grpc.RpcError as error:
                    if error.code() is grpc.StatusCode.UNAVAILABLE:
                        return  # it was drained, and its port is closed
                    self.slowest_s = self._TIMEOUT_S
                self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
                self.answers += 1

    def __enter__(self) -> "HealthChecks":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Totals:
    """What all runs have shown so far; digests by the consumer's seed and epoch."""

    digests: defaultdict[tuple[int, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    incomplete: int = 0
    refusals: float = 0
    hedges: float = 0
    ranges: float = 0
    slowest_health_s: float = 0.0
    health_answers: int = 0


def rate(consumers: list[list[Epoch]]) -> float:
    """Rows per second of all consumers together, over the time in which all of them ran."""
    begun = max(epochs[0].ended_at - epochs[0].seconds for epochs in consumers)
    ended = min(epochs[-1].ended_at for epochs in consumers)
    rows = 0.0
    for epoch in (epoch for epochs in consumers for epoch in epochs):
        inside_s = min(epoch.ended_at, ended) - max(epoch.ended_at - epoch.seconds, begun)
        rows += epoch.rows * max(0.0, inside_s) / epoch.seconds
    return rows / (ended - begun)


def consume(
    servers: list[Node], count: int, totals: Totals, log: Any, meanwhile: Callable[[list[Consumer]], None] | None = None
) -> float:
    """Runs consumers to their end; returns their rate."""
    addresses = [server.address for server in servers]
    with ExitStack() as stack:
        health = stack.enter_context(HealthChecks(servers))
        consumers = [
            stack.enter_context(Consumer(addresses, "--epochs", EPOCHS // count, "--seed", seed, log=log))
            for seed in range(count)
        ]
        if meanwhile:
            meanwhile(consumers)
        deadline = time.monotonic() + TIMEOUT_S
        for consumer in consumers:
            with suppress(subprocess.TimeoutExpired):  # it then lacks epochs
                consumer.wait(max(0.1, deadline - time.monotonic()))
    for seed, consumer in enumerate(consumers):
        for epoch in consumer.epochs:
            totals.digests[seed, epoch.epoch].add(epoch.digest)
            totals.incomplete += not epoch.rows == epoch.distinct == SAMPLES
        totals.incomplete += EPOCHS // count - len(consumer.epochs)
    if count == CONSUMERS_AT_OVERLOAD:
        totals.refusals += sum(consumer.total("retries") for consumer in consumers)
        totals.hedges += sum(consumer.total("hedges") for consumer in consumers)
        totals.ranges += sum(consumer.total("ranges") for consumer in consumers)
        totals.slowest_health_s = max(totals.slowest_health_s, health.slowest_s)
        totals.health_answers += health.answers
    return rate([consumer.epochs for consumer in consumers]) if all(consumer.epochs for consumer in consumers) else 0.0


def drain_in_the_middle(node: Node) -> Callable[[list[Consumer]], None]:
    """Sends SIGTERM to a server once every consumer has an epoch."""

    def drain(consumers: list[Consumer]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not all(consumer.epochs for consumer in consumers) and time.monotonic() < deadline:
            time.sleep(0.05)
        node.send(signal.SIGTERM)

    return drain


def main() -> int:
    """Both cases by turns, then the drain."""
    seeded(0)
    verdict, totals = Verdict(), Totals()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch(SAMPLES))
        log = stack.enter_context(open(folder / "consumers.log", "w"))
        free = nodes(folder, SERVERS, stack, *_SERVER_OPTIONS)
        full = nodes(folder, SERVERS, stack, *_SERVER_OPTIONS, "--max-streams", str(PLACES))
        rates = []
        print("rows/s at capacity and at overload")
        for _ in range(ALTERNATIONS):
            rates.append(
                (consume(free, CONSUMERS_AT_CAPACITY, totals, log), consume(full, CONSUMERS_AT_OVERLOAD, totals, log))
            )
            print(f"{rates[-1][0]:17,.0f} {rates[-1][1]:15,.0f}  (load average {os.getloadavg()[0]:.1f})", flush=True)
        drained = consume(full, CONSUMERS_AT_OVERLOAD, totals, log, drain_in_the_middle(full[1]))
        print(f"{'':17} {drained:15,.0f}  with a drain in the middle")
        code = full[1].stop()
    capacity, overload = (statistics.median(column) for column in zip(*rates, strict=True))
    share, hedged = overload / capacity, totals.hedges / max(totals.ranges, 1)
    verdict.check(totals.refusals > 0, "servers refuse what they have no place for", f"{totals.refusals:.0f} times")
    verdict.check(share >= LEAST_SHARE, f"overload delivers {LEAST_SHARE:.0%} of capacity", f"{share:.0%}")
    verdict.check(
        hedged <= MOST_HEDGED, f"at most {MOST_HEDGED:.0%} of ranges are hedged", f"{hedged:.1%} of {totals.ranges:.0f}"
    )
    verdict.check(
        totals.slowest_health_s <= SLOWEST_HEALTH_S,
        f"health answers within {SLOWEST_HEALTH_S:.0f} s",
        f"{totals.slowest_health_s:.3f} s at worst of {totals.health_answers}",
    )
    verdict.check(code == 0, "the drained server ends every range", f"exit code {code}")
    verdict.check(totals.incomplete == 0, "every epoch is whole, each drawing once", f"{totals.incomplete} are not")
    differing = sum(len(digests) > 1 for digests in totals.digests.values())
    verdict.check(
        differing == 0, "each consumer's epochs are the same in every run", f"{differing} of {len(totals.digests)} not"
    )
    return verdict.exit_code()


if __name__ == "__main__":
    run(main)
