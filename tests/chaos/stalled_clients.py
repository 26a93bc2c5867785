"""64 clients stall on connections of their own: memory stays within its bounds, and a healthy client hardly notices.

`python -m tests.chaos.stalled_clients`. Four kinds of stalled clients, one after the other; each kind comes and goes
three times beside one healthy client, whose rate is the median of its rates with them over the median without. The
server keeps no chunks (`--cache 0`), so that it draws every row of the healthy client. A rate is taken once the stalled
ones stand still: while 64 clients start at once, their first messages take their share of the processor for a second.
Then a client of ours stalls, and its own memory is looked at.

The bounds: a server's anonymous memory stays within `--memory`, 4 MiB for each open stream (what gRPC holds of what was
sent) and 256 MiB (the program, and what the allocator keeps), as docs/serving.md says. A client's grows by
`memory_bytes` and 48 MiB at most.
"""

import os
import statistics
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import inkstream
from tests.chaos.consumer import MEMORY_BYTES, pipeline
from tests.chaos.harness import Consumer, Node, Verdict, run, scratch, seeded
from tests.chaos.process_memory import MIB, Peak, anonymous_bytes
from tests.chaos.stalled_peers import KINDS, Stalled

STALLED = 64
ALTERNATIONS = 3
STARTED_S = 2.0
WINDOW_S = 3.0
LEAST_SHARE = 0.8
SERVER_MEMORY_MIB = 256
SERVER_CONSTANT_BYTES = 256 * MIB
STREAM_CONSTANT_BYTES = 4 * MIB
# With the four of the healthy client. Places are kept free, so that none of them loses its own to another.
OPEN_STREAMS = STALLED + 4
MAX_STREAMS = OPEN_STREAMS + 12
# Few enough that a window holds several epochs, many enough that a stalled client has an epoch before it.
SAMPLES = 6_000
CLIENT_CONSTANT_BYTES = 48 * MIB
START_TIMEOUT_S = 60.0
_SETTLED_S = 1.0
_SETTLE_TIMEOUT_S = 30.0


class Healthy:
    """The healthy client, which goes on all the time."""

    def __init__(self, consumer: Consumer):
        self._consumer = consumer

    def rate(self) -> float:
        """Rows per second over a window, in whole epochs."""
        begun = len(self._consumer.epochs) + 1  # the one that is running now counts for neither
        time.sleep(WINDOW_S)
        epochs = self._consumer.epochs[begun:]
        if not epochs:
            return 0.0
        return sum(epoch.rows for epoch in epochs) / sum(epoch.seconds for epoch in epochs)


def beside(healthy: Healthy, stalled: AbstractContextManager[None]) -> tuple[float, float]:
    """The healthy client's rate without and with stalled clients."""
    quiet = healthy.rate()
    with stalled:
        time.sleep(STARTED_S)
        return quiet, healthy.rate()


def stall(node: Node, healthy: Healthy, kind: str, stalled: Stalled, verdict: Verdict) -> None:
    """One kind of stalled clients, three times."""
    begun = time.monotonic()
    with Peak(node.pid) as memory:
        rates = [beside(healthy, stalled(node.address, STALLED)) for _ in range(ALTERNATIONS)]
    quiet, disturbed = (statistics.median(column) for column in zip(*rates, strict=True))
    bound_bytes = SERVER_MEMORY_MIB * MIB + OPEN_STREAMS * STREAM_CONSTANT_BYTES + SERVER_CONSTANT_BYTES
    print(f"{kind}, {time.monotonic() - begun:.0f} s, load average {os.getloadavg()[0]:.1f}; rows/s without and with:")
    print("  " + ", ".join(f"{before:,.0f} and {after:,.0f}" for before, after in rates))
    verdict.check(
        memory.peak_bytes <= bound_bytes,
        f"{kind}: the server's anonymous memory stays below {bound_bytes / MIB:.0f} MiB",
        f"{memory.peak_bytes / MIB:.0f} MiB",
    )
    share = disturbed / quiet
    verdict.check(share >= LEAST_SHARE, f"{kind}: a healthy client keeps {LEAST_SHARE:.0%} of its rate", f"{share:.0%}")


def stall_ours(address: str, verdict: Verdict) -> None:
    """A client of ours, in this process, whose consumer takes one batch and no more."""
    with inkstream.connect(address) as client:
        client.resolve(pipeline())
        before = anonymous_bytes(os.getpid())
        with client.stream(pipeline(), memory_bytes=MEMORY_BYTES) as stream, Peak(os.getpid()) as memory:
            next(stream)
            _settle(stream)
    grown_bytes, bound_bytes = memory.peak_bytes - before, MEMORY_BYTES + CLIENT_CONSTANT_BYTES
    verdict.check(
        grown_bytes <= bound_bytes,
        f"a client whose consumer stalls grows by less than {bound_bytes / MIB:.0f} MiB",
        f"{grown_bytes / MIB:.0f} MiB",
    )


def _settle(stream: inkstream.Stream) -> None:
    """Waits until nothing more arrives."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    arrived, since = -1, time.monotonic()
    while time.monotonic() < min(deadline, since + _SETTLED_S):
        if (now := stream.stats().wire_bytes) != arrived:
            arrived, since = now, time.monotonic()
        time.sleep(0.05)


def _started(consumer: Consumer) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not consumer.epochs and time.monotonic() < deadline:
        time.sleep(0.05)


def main() -> int:
    """All kinds."""
    seeded(0)
    verdict = Verdict()
    with ExitStack() as stack:
        folder: Path = stack.enter_context(scratch(SAMPLES))
        options = ("--memory", str(SERVER_MEMORY_MIB), "--cache", "0", "--max-streams", str(MAX_STREAMS))
        node = stack.enter_context(Node(folder, "server", *options))
        consumer = stack.enter_context(Consumer([node.address], "--epochs", 1_000_000))
        healthy = Healthy(consumer)
        _started(consumer)
        print(f"the server's anonymous memory before anything stalls: {anonymous_bytes(node.pid) / MIB:.0f} MiB")
        for kind, stalled in KINDS.items():
            stall(node, healthy, kind, stalled, verdict)
        verdict.check(consumer.process.poll() is None, "the healthy client is still there", "yes")
        stall_ours(node.address, verdict)
    return verdict.exit_code()


if __name__ == "__main__":
    run(main)
