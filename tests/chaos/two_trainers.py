"""Two trainers on one pipeline: in step they share the drawing, and a slow one holds up nobody.

`python -m tests.chaos.two_trainers`. With one server and with three. Each measurement has a seed of its own, so that
nothing of it is in a cache beforehand. One server more, which nobody else asks, says what every epoch must be.
"""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack

from tests.chaos.harness import Consumer, Node, Verdict, nodes, run, scratch, seeded

SAMPLES = 4000
ROUNDS = 3
EPOCHS = 4
FAST = ("--epochs", EPOCHS, "--rows-per-s", 4000)
SLOW = ("--epochs", 1, "--rows-per-s", 400)
# As fast as two busy cores allow; there the slow one also takes its tenth of the processors.
UNBOUNDED = ("--epochs", 20)
TENTH = ("--epochs", 2, "--rows-per-s", 1600)
_TIMEOUT_S = 120


class Trials:
    """Trainers side by side on some servers, again and again.

    Args:
        servers: Whom they ask.
        reference: Whom nobody else asks.

    Attributes:
        differences: Trainers that ended with an error, or whose batches were others.
    """

    def __init__(self, servers: Sequence[Node], reference: Node):
        self.differences = 0
        self._servers = servers
        self._reference = reference
        self._seed = 100 * len(servers)

    def rates(self, *trainers: Sequence[object]) -> list[float]:
        """Runs trainers on a pipeline that is new; returns the rows per second of each, by median of its epochs."""
        self._seed += 1
        addresses = [node.address for node in self._servers]
        with ExitStack() as stack:
            running = [stack.enter_context(Consumer(addresses, *words, "--seed", self._seed)) for words in trainers]
            codes = [consumer.wait(_TIMEOUT_S) for consumer in running]
        most = max(len(consumer.epochs) for consumer in running)
        with Consumer([self._reference.address], "--epochs", most, "--seed", self._seed) as reference:
            reference.wait(_TIMEOUT_S)
        expected = [epoch.digest for epoch in reference.epochs]
        for consumer, code in zip(running, codes, strict=True):
            found = [epoch.digest for epoch in consumer.epochs]
            self.differences += code != 0 or not found or found != expected[: len(found)]
        return [statistics.median(epoch.rows / epoch.seconds for epoch in consumer.epochs) for consumer in running]

    def drawn(self) -> float:
        """Rows that the servers have drawn so far."""
        return sum(node.figure("inkstream_server_drawn_rows_total") for node in self._servers)


def main() -> int:
    """Runs it; 0 when every claim holds."""
    seeded(None)
    verdict = Verdict()
    with scratch(SAMPLES) as folder, ExitStack() as stack:
        reference, *servers = nodes(folder, 4, stack, "--metrics", "127.0.0.1:0")
        for count in (1, 3):
            trials = Trials(servers[:count], reference)

            before = trials.drawn()
            trials.rates(FAST, FAST)
            paid = (trials.drawn() - before) / (EPOCHS * SAMPLES)
            verdict.check(paid <= 1.1, f"servers: {count}, in step: drawn at most 1.1 times", f"{paid:.3f} times")

            for name, fast, slow, least in (
                ("4,000 rows/s", FAST, SLOW, 0.95),
                ("as fast as it can", UNBOUNDED, TENTH, 0.75),
            ):
                alone, beside = [], []
                for _ in range(ROUNDS):
                    alone += trials.rates(fast)
                    beside += trials.rates(fast, slow)[:1]
                rates = [statistics.median(found) for found in (beside, alone)]
                claim = f"servers: {count}, {name}: at least {least} of its rate beside one ten times slower"
                verdict.check(rates[0] >= least * rates[1], claim, "{:,.0f} against {:,.0f} rows/s".format(*rates))

            claim = f"servers: {count}: every trainer got every batch"
            verdict.check(not trials.differences, claim, f"{trials.differences} did not")
    return verdict.exit_code()


if __name__ == "__main__":
    run(main)
