"""Drawings per second from a batch server into a process on the same cores, and what they cost each side.

`python -m benchmarks.stream`. Every round asks for an epoch that nobody has asked for, so that nothing is in caches.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.dataset import imported_dataset
from benchmarks.peers.measuring import drawings_per_s
from benchmarks.processes import Seen, Setting, Workload, consuming, median, serving
from benchmarks.table import Table

ROUNDS = 3
COMPRESSIONS = ("none", "sparse", "zstd")
# The allocator of the consumer as trainers set theirs (inkstream.allocator).
AS_TRAINERS = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
# Of the dataset; nearly all of it, since a split of 100 % is not one.
SHARE = 0.99
NOTES = f"128x128 gray, batch 256, rotation, shift, scale and stroke dropout; medians of {ROUNDS}."

KERNEL_ALONE = Path(__file__).parent / "peers" / "programs" / "kernel_alone.py"


class Placement(NamedTuple):
    """Who works on which cores.

    Attributes:
        name: In words.
        threads: Render threads.
        server: Cores of the server, as taskset takes them; empty for all.
        client: The same of the client.
    """

    name: str
    threads: int
    server: str = ""
    client: str = ""


def tables(dataset: Path) -> list[Table]:
    """Streams a dataset that is alone in its folder."""
    found = _streams(dataset, Placement("", os.cpu_count() or 1), COMPRESSIONS)
    return [_by_compression(found), _by_cores(dataset, median(lambda seen: seen.rows_per_s, found["sparse"]))]


def _by_compression(found: dict[str, list[Seen]]) -> Table:
    rows = []
    for name, seen in found.items():
        rate = median(lambda one: one.rows_per_s, seen)
        rows.append(
            (
                name,
                f"{rate:,.0f}",
                f"{rate / median(lambda one: one.rows_per_s, found['none']):.2f}x",
                f"{median(lambda one: one.wire_bytes / one.seconds / 1e6, seen):,.0f}",
                f"{median(lambda one: one.server_s / one.rows * 1e6, seen):.1f}",
                f"{median(lambda one: one.client_s / one.rows * 1e6, seen):.1f}",
            )
        )
    header = ("compression", "drawings/s", "against none", "MB/s on the wire", "server us", "client us")
    return Table("Stream into a process on the same cores", f"{NOTES} Processor time is per drawing.", header, rows)


def _by_cores(dataset: Path, streamed: float) -> Table:
    """Sparse words: what more cores give, and what is left of the kernel's rate."""
    cores = os.cpu_count() or 1
    alone = {count: _kernel_alone(dataset, count) for count in dict.fromkeys((1, cores))}
    rates = {f"kernel alone, {count} of {cores} cores": rate for count, rate in alone.items()}
    if cores > 1 and shutil.which("taskset"):
        apart = Placement("server on core 0, one render thread; client on core 1", 1, "0", "1")
        shared = Placement("server and client on core 0, one render thread", 1, "0", "0")
        for placement in (shared, apart):
            found = _streams(dataset, placement, ("sparse",))["sparse"]
            rates[placement.name] = median(lambda seen: seen.rows_per_s, found)
    rates[f"server and client on all {cores} cores, {cores} render threads"] = streamed
    rows = [(name, f"{rate:,.0f}", f"{rate / alone[cores]:.0%}") for name, rate in rates.items()]
    header = ("who works where", "drawings/s", "of the kernel on all cores")
    return Table("Stream and cores", NOTES, header, rows)


def _streams(dataset: Path, placement: Placement, compressions: tuple[str, ...]) -> dict[str, list[Seen]]:
    """Each round by compression; rounds alternate, so that a busy moment hits all alike."""
    setting = Setting(
        serve=("--threads", str(placement.threads)), client_env=AS_TRAINERS, inside=_pinned(placement.server)
    )
    found: dict[str, list[Seen]] = {name: [] for name in compressions}
    with serving(dataset, setting) as server, consuming(server, setting) as consumer:
        if placement.client:
            subprocess.run(
                ["taskset", "-apc", placement.client, str(consumer.process.pid)], check=True, capture_output=True
            )
        for seed in range(ROUNDS + 1):
            for number, name in enumerate(compressions):
                seen = consumer.measure(Workload(name, SHARE, seed=100 * number + seed))
                if seed:  # the first round warms up
                    found[name].append(seen)
    return found


def _kernel_alone(dataset: Path, cores: int) -> float:
    """Drawings per second of the kernel on some cores, drawing whole batches without a wire."""
    return drawings_per_s([*_pinned(f"0-{cores - 1}"), sys.executable, str(KERNEL_ALONE), str(dataset)])


def _pinned(cores: str) -> tuple[str, ...]:
    return ("taskset", "-c", cores) if cores and shutil.which("taskset") else ()


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
