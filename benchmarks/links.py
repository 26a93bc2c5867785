"""Which compression for which link: drawings per second over links of 1 and 10 Gbit/s, with and without delay.

`python -m benchmarks.links`. The server runs in a network namespace at the end of a virtual cable, whose rate a token
bucket shapes; a relay in user space delays. Both need processor time of the same cores, so figures near what the cores
can do are lower than between two machines. Needs root and iproute2.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import inkstream
from batch_server.batches import BatchMaker
from batch_server.serving.chunks import chunk_messages
from batch_server.store.reader import Dataset
from benchmarks.dataset import AUGMENT, imported_dataset
from benchmarks.processes import Consumer, Seen, Server, Setting, Workload, consuming, median, serving
from benchmarks.table import Table
from inkstream.chunking import Span
from inkstream.compression import compression_number
from tests.chaos.links import Cable, namespaces_allowed

ROUNDS = 5
DELAY_S = 0.001
_TITLE = "Compressions on links"
_GBIT = 125e6  # bytes per second
_COMPRESSIONS = ("none", "sparse", "zstd")
_RENDERS = tuple(
    inkstream.Render(size=size, encoding=encoding)
    for size, encoding in ((28, "gray"), (64, "gray"), (128, "gray"), (256, "gray"), (128, "rainbow"))
)
_SIZED_ROWS = 2048


class Link(NamedTuple):
    """Between server and client.

    Attributes:
        name: Of its row.
        bytes_per_s: That pass at most; None for as many as can.
        delayed: Whether they arrive later by `DELAY_S`, each way.
    """

    name: str
    bytes_per_s: float | None
    delayed: bool


LINKS = (
    Link("not shaped", None, False),
    Link("not shaped, 1 ms", None, True),
    Link("10 Gbit/s", 10 * _GBIT, False),
    Link("10 Gbit/s, 1 ms", 10 * _GBIT, True),
    Link("1 Gbit/s", _GBIT, False),
    Link("1 Gbit/s, 1 ms", _GBIT, True),
)


def tables(dataset: Path) -> list[Table]:
    """Of a dataset that is alone in its folder."""
    return [sizes(dataset), on_links(dataset)]


def sizes(dataset: Path) -> Table:
    """Bytes of a drawing on the wire, and how many of them a link carries."""
    header = ("pictures", *_COMPRESSIONS, *(f"{name}: drawings/s at 1 Gbit/s" for name in _COMPRESSIONS))
    rows = []
    opened = Dataset.open(dataset)
    for render in _RENDERS:
        pipeline = inkstream.Pipeline(
            dataset.stem, _SIZED_ROWS, split="all", seed=7, render=render, augment=AUGMENT, remainder="short"
        )
        maker = BatchMaker(opened, pipeline)
        sized = Span(0, min(_SIZED_ROWS, maker.epoch_plan.batch_rows(0)))
        found = []
        for name in _COMPRESSIONS:
            messages = chunk_messages(maker, 0, 0, sized, compression_number(name), blank_rotten=False)
            found.append(sum(map(len, messages)) / sized.size)
        picture = f"{render.size}x{render.size} {render.encoding}"
        rows.append((picture, *(f"{size:,.0f}" for size in found), *(f"{_GBIT / size:,.0f}" for size in found)))
    notes = f"Augmented, the mean of {_SIZED_ROWS:,} rows with their other tensors, 13 bytes."
    return Table("Bytes of a drawing on the wire", notes, header, rows)


def on_links(dataset: Path) -> Table:
    """Streams over shaped links."""
    columns = [cell for name in _COMPRESSIONS for cell in (f"{name}: drawings/s", "MB/s")]
    header = ("link", *columns)
    if not namespaces_allowed():
        return Table(_TITLE, "Left out: shaping a link needs root and iproute2 (ip, tc).", header, [])
    seen: dict[tuple[Link, str], list[Seen]] = {(link, name): [] for link in LINKS for name in _COMPRESSIONS}
    with ExitStack() as stack:
        cable = stack.enter_context(Cable(0))
        setting = Setting(listen=f"{cable.host}:0", serve=("--insecure",), inside=cable.command)
        server = stack.enter_context(serving(dataset, setting))
        consumers = {
            False: stack.enter_context(consuming(server, setting)),
            True: stack.enter_context(consuming(stack.enter_context(_later(server)), setting)),
        }
        for consumer in consumers.values():
            for name in _COMPRESSIONS:
                consumer.measure(Workload(name, share=0.25))  # opens connections, fills pools
        measure(cable, consumers, seen)
    rows = [(link.name, *(cell for name in _COMPRESSIONS for cell in _cells(seen[link, name]))) for link in LINKS]
    notes = f"128x128 gray, batch 256, augmented and drawn; one way of 1 ms is two there and back; medians of {ROUNDS}."
    return Table(_TITLE, notes, header, rows)


def measure(cable: Cable, consumers: dict[bool, Consumer], seen: dict[tuple[Link, str], list[Seen]]) -> None:
    """Measures each compression on each link, in turn.

    Args:
        cable: To the server.
        consumers: By whether what they get is delayed.
        seen: What was found so far, and in the end.
    """
    for seed, link in enumerate(LINKS * ROUNDS, 1):  # a seed of its own, so that everything is drawn
        cable.heal()
        if link.bytes_per_s:
            cable.shape(link.bytes_per_s)
        for name in _COMPRESSIONS:
            workload = Workload(name, share=0.25, seed=seed)
            seen[link, name].append(consumers[link.delayed].measure(workload))


@contextmanager
def _later(server: Server) -> Iterator[Server]:
    """A server as it is reached through a relay that delays."""
    command = [sys.executable, "-m", "benchmarks.delay_line", server.address, str(DELAY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None
        try:
            yield server._replace(address=relay.stdout.readline().strip())
        finally:
            relay.kill()


def _cells(found: list[Seen]) -> tuple[str, str]:
    return f"{median(lambda one: one.rows_per_s, found):,.0f}", f"{median(_megabytes_per_s, found):,.0f}"


def _megabytes_per_s(one: Seen) -> float:
    return one.wire_bytes / one.seconds / 1e6


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
