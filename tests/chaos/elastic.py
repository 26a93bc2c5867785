"""What a running stream feels when a server is added, drained or frozen.

`python -m tests.chaos.elastic`. A trainer takes 6,000 drawings a second from servers behind one name. In the middle of
its epoch a server is added to the name, another one is drained, another one is frozen and goes on later.
"""

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import inkstream
from tests.chaos.consumer import MEMORY_BYTES, Epoch, epochs_of, pipeline
from tests.chaos.harness import Verdict, nodes, run, scratch, seeded

# An epoch of 15 s.
SAMPLES = 90_000
ROWS_PER_S = 6000
FAULT_AFTER_S = 2.0
FAIR_WITHIN_S = 10.0
FROZEN_S = 6.0
# A range is late after a second unless ranges take longer than a third of it.
HEDGE_DELAY_S = 1.0


class Trainer:
    """One epoch, taken on a thread of its own; a context manager, which ends it.

    Args:
        names: The addresses behind the name that it connects to; may change.

    Attributes:
        batches: That came so far.
    """

    def __init__(self, names: list[str]):
        self.batches = 0
        self._epoch: Epoch | None = None
        self._client = inkstream.connect("dns:///batch-server:50051", resolver=lambda name, port: list(names))
        self._stream = self._client.stream(pipeline(), memory_bytes=MEMORY_BYTES)
        self._thread = threading.Thread(target=self._train)
        self._thread.start()

    def rows(self) -> Counter[str]:
        """What each server has delivered."""
        return Counter({address: server.rows for address, server in self._stream.stats().servers.items()})

    def end(self) -> tuple[Epoch | None, inkstream.StreamStats]:
        """Waits for the epoch's end; None if there was an error, which is printed."""
        self._thread.join()
        return self._epoch, self._stream.stats()

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._thread.join()

    def _train(self) -> None:
        try:
            (self._epoch,) = epochs_of(self._counted(), ROWS_PER_S)
        except (inkstream.InkstreamError, ValueError) as error:
            print(error, file=sys.stderr)

    def _counted(self) -> Iterator[inkstream.Batch]:
        for batch in self._stream:
            self.batches += 1
            yield batch


def main() -> int:
    """Runs it; 0 when every claim holds."""
    seeded(None)
    verdict = Verdict()
    with scratch(SAMPLES) as folder, ExitStack() as stack:
        first, second, added = nodes(folder, 3, stack)
        with inkstream.connect(first.address) as client, client.stream(pipeline()) as undisturbed:
            (expected,) = epochs_of(undisturbed)

        def judge(what: str, trainer: Trainer, since: int) -> inkstream.StreamStats:
            epoch, stats = trainer.end()
            equal = epoch is not None and epoch.digest == expected.digest
            verdict.check(equal, f"{what}: no error, every batch as without it", "equal" if equal else "different")
            worst_s = max(epoch.waits_s[since:]) if epoch else float("inf")
            allowed_s = 2 * HEDGE_DELAY_S  # the hedge delay, and then a range that is not late
            verdict.check(worst_s <= allowed_s, f"{what}: worst pause at most {allowed_s:.0f} s", f"{worst_s:.2f} s")
            return stats

        names = [first.address, second.address]
        with Trainer(names) as trainer:
            time.sleep(FAULT_AFTER_S)
            since, before, begun = trainer.batches, trainer.rows(), time.monotonic()
            names.append(added.address)
            while not trainer.rows()[added.address] and time.monotonic() < begun + FAIR_WITHIN_S:
                time.sleep(0.05)
            noticed_s = time.monotonic() - begun
            time.sleep(max(0.0, FAIR_WITHIN_S - noticed_s))
            came = trainer.rows() - before
            share = 3 * came[added.address] / came.total()
            claim = f"added: at least half its fair share within {FAIR_WITHIN_S:.0f} s"
            verdict.check(share >= 0.5, claim, f"{share:.0%} of it, the first rows after {noticed_s:.1f} s")
            judge("added", trainer, since)

        with Trainer(names) as trainer:
            time.sleep(FAULT_AFTER_S)
            since = trainer.batches
            code = added.stop(signal.SIGTERM)
            verdict.check(code == 0, "drained: every range ended by itself", f"exit code {code}")
            judge("drained", trainer, since)
        added.start()

        with Trainer(names) as trainer:
            time.sleep(FAULT_AFTER_S)
            since = trainer.batches
            added.send(signal.SIGSTOP)
            time.sleep(FROZEN_S)
            added.send(signal.SIGCONT)
            thawed = trainer.rows()
            stats = judge("frozen", trainer, since)
            print(f"     {stats.hedges} hedges, {stats.moves} moved ranges of {stats.ranges}")
            back = (Counter({address: one.rows for address, one in stats.servers.items()}) - thawed)[added.address]
            verdict.check(back > 0, "frozen: asked again when it goes on", f"{back:,} rows")
    return verdict.exit_code()


if __name__ == "__main__":
    run(main)
