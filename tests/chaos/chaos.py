"""Servers die, freeze and restart, links are cut, shaped and delayed, and two consumers must not see a wrong byte.

`python -m tests.chaos.chaos [--seconds 180] [--seed N]`. Five servers, two consumers of one pipeline, every one to
three seconds a fault somewhere, at most three servers disturbed at a time. Each epoch of each consumer is compared
with the same epoch from one undisturbed server.
"""

import argparse
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.chaos.consumer import Epoch
from tests.chaos.harness import SAMPLES, Consumer, Node, Verdict, run, scratch, seeded
from tests.chaos.links import Cable, Link, Relay, namespaces_allowed

SERVERS = 5
# Of them, this many are reached through a relay also where there are cables, which cannot delay.
RELAYED = 2
CONSUMERS = 2
MOST_DISTURBED = 3
EPOCHS = 2
ROWS_PER_S = 3000
# Each fault lasts this long; connections are found to be dead after 13 s.
FAULT_S = (1.0, 15.0)
GAP_S = (1.0, 3.0)
# A stream gives up after 60 s without progress, so that a consumer ends by then whatever happens.
END_TIMEOUT_S = 120
_PORT = 50051


@dataclass
class Place:
    """One server, the link to it, and a relay where there is one."""

    node: Node
    link: Link
    relay: Relay | None

    @property
    def address(self) -> str:
        """Where consumers connect."""
        return self.relay.address if self.relay else self.node.address


Pause = Callable[[], object]


def killed(place: Place, pause: Pause) -> None:
    """`kill -9`, and a new server some time later."""
    place.node.stop(signal.SIGKILL)
    pause()
    place.node.start()


def restarted(place: Place, pause: Pause) -> None:
    """Drained and started anew, as an update does."""
    place.node.stop(signal.SIGTERM)
    place.node.start()


def frozen(place: Place, pause: Pause) -> None:
    """SIGSTOP, as a machine that swaps: connections stay, nothing is answered."""
    place.node.send(signal.SIGSTOP)
    pause()
    place.node.send(signal.SIGCONT)


def cut(place: Place, pause: Pause) -> None:
    """Nothing arrives, and nobody is told."""
    place.link.cut()
    pause()
    place.link.heal()


def shaped(place: Place, pause: Pause) -> None:
    """A range of 5 MB takes ten seconds."""
    place.link.shape(500e3)
    pause()
    place.link.heal()


def delayed(place: Place, pause: Pause) -> None:
    """A round trip of half a second."""
    assert place.relay is not None
    place.relay.delay(0.25)
    pause()
    place.relay.heal()


def main() -> int:
    """Runs it; 0 when every claim holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180, help="for how long there are faults")
    parser.add_argument("--seed", type=int, help="of the faults; a new one unless given")
    options = parser.parse_args()
    rng = seeded(options.seed)
    with scratch() as folder, ExitStack() as stack:
        undisturbed = _undisturbed(folder)  # also compiles the kernels, if need be, once for all servers
        places = _places(folder, stack)
        log = stack.enter_context(open(folder / "consumers.log", "w"))
        words = ("--epochs", EPOCHS, "--rows-per-s", ROWS_PER_S, "--seconds", options.seconds)
        addresses = [place.address for place in places]
        consumers = [stack.enter_context(Consumer(addresses, *words, log=log)) for _ in range(CONSUMERS)]
        faults = _disturb(places, rng, options.seconds)
        until = time.monotonic() + END_TIMEOUT_S
        codes = [consumer.wait(until - time.monotonic()) for consumer in consumers]
        print("faults:", ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())))
        _table(consumers)
        verdict = Verdict()
        for index, (consumer, code) in enumerate(zip(consumers, codes, strict=True)):
            _judge(verdict, f"consumer {index}", consumer.epochs, code, undisturbed)
        enough = len(faults) >= 5 and faults.total() >= options.seconds / 5
        verdict.check(enough, "there were faults enough, of five kinds or more", faults.total())
        if verdict.failed:
            print((folder / "consumers.log").read_text()[-8000:])
            for place in places:
                print(place.address, place.node.log_tail(), sep="\n")
        return verdict.exit_code()


def _places(folder: Path, stack: ExitStack) -> list[Place]:
    """The servers and the links to them."""
    cables = namespaces_allowed()
    if not cables:
        print("no network namespaces here (they need root): relays cut and shape the links instead")

    def place(index: int) -> Place:
        cable = stack.enter_context(Cable(index)) if cables else None
        options = ("--drain-delay", "1", *(("--insecure",) if cable else ()))
        node = Node(
            folder,
            f"server-{index}",
            *options,
            listen=f"{cable.host}:{_PORT}" if cable else "127.0.0.1:0",
            prefix=cable.command if cable else (),
        )
        stack.enter_context(node)
        relay = stack.enter_context(Relay(node.address)) if cable is None or index >= SERVERS - RELAYED else None
        link = cable or relay
        assert link is not None
        return Place(node, link, relay)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(place, range(SERVERS)))


def _undisturbed(folder: Path) -> list[str]:
    """The digest of each epoch of a round, from a server of its own."""
    with Node(folder, "undisturbed") as node, Consumer([node.address], "--epochs", EPOCHS) as consumer:
        if consumer.wait(END_TIMEOUT_S):
            raise SystemExit("the undisturbed consumer failed")
        return [epoch.digest for epoch in consumer.epochs]


def _disturb(places: list[Place], rng: random.Random, seconds: float) -> Counter[str]:
    """Makes faults for some time; everything is well again afterwards. Returns their number by kind."""
    over = threading.Event()
    until = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    begun: list[Future[None]] = []
    disturbed: dict[int, Future[None]] = {}
    with ThreadPoolExecutor(MOST_DISTURBED) as pool:
        try:
            while (left := until - time.monotonic()) > 0:
                kinds = [killed, restarted, frozen, cut, shaped, delayed]
                # All numbers are drawn whatever the servers do, so that a seed gives the same ones again.
                gap_s, fault_s = rng.uniform(*GAP_S), rng.uniform(*FAULT_S)
                rng.shuffle(kinds)
                order = rng.sample(range(SERVERS), SERVERS)
                over.wait(min(gap_s, left))
                disturbed = {index: fault for index, fault in disturbed.items() if not fault.done()}
                if len(disturbed) < MOST_DISTURBED:
                    index = next(index for index in order if index not in disturbed)
                    kind = next(kind for kind in kinds if kind is not delayed or places[index].relay)
                    disturbed[index] = pool.submit(kind, places[index], partial(over.wait, fault_s))
                    begun.append(disturbed[index])
                    counts[kind.__name__] += 1
        finally:
            over.set()
    for fault in begun:
        fault.result()
    return counts


def _table(consumers: list[Consumer]) -> None:
    columns = ("epochs", "rows/s", "worst pause", "99.9 %", "waited", "ranges", "hedges", "moves", "retries")
    print("consumer", *(f"{column:>12}" for column in columns))
    for index, consumer in enumerate(consumers):
        waits_s = sorted(wait_s for epoch in consumer.epochs for wait_s in epoch.waits_s)
        seconds = sum(epoch.seconds for epoch in consumer.epochs)
        cells = (
            len(consumer.epochs),
            f"{sum(epoch.rows for epoch in consumer.epochs) / seconds:,.0f}",
            f"{waits_s[-1]:.2f} s",
            f"{waits_s[int(0.999 * len(waits_s))]:.2f} s",
            f"{sum(waits_s) / seconds:.1%}",
            *(f"{consumer.total(name):,.0f}" for name in ("ranges", "hedges", "moves", "retries")),
        )
        print(f"{index:>8}", *(f"{cell:>12}" for cell in cells))


def _judge(verdict: Verdict, name: str, epochs: list[Epoch], code: int, undisturbed: list[str]) -> None:
    verdict.check(code == 0, f"{name} ended without an error", f"exit code {code}")
    verdict.check(len(epochs) >= EPOCHS and len(epochs) % EPOCHS == 0, f"{name} finished whole rounds", len(epochs))
    wrong = [(epoch.round, epoch.epoch) for epoch in epochs if epoch.digest != undisturbed[epoch.epoch]]
    verdict.check(not wrong, f"{name} got the undisturbed digest in every epoch", wrong or "equal")
    uneven = [epoch.rows for epoch in epochs if not epoch.rows == epoch.distinct == SAMPLES]
    verdict.check(not uneven, f"{name} got each drawing once an epoch", uneven or f"{SAMPLES:,} each")


if __name__ == "__main__":
    run(main)
