"""Drawings per second from a dataset larger than the memory that its server has, against one that it has in memory.

`python -m benchmarks.cold`. The usual drawings are written again and again, under new key ids, until they are four
million. The server runs in a control group whose limit counts the page cache that it reads, as a container's does;
making one needs root.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import inkstream
from batch_server.store.reader import Dataset
from batch_server.store.writer import DatasetWriter
from benchmarks.dataset import AUGMENT, BATCH_SERVER, imported_dataset
from benchmarks.table import Table

DRAWINGS = 4_000_000
CHUNK_MEMORY_MIB = 64
# Limits of memory: what the program takes, measured, and shares of the dataset.
PROGRAM_BYTES = 120 << 20
SHARES = (0.5, 0.25)
SETTLE_S, MEASURE_S = 3.0, 5.0

_GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def limited_group(limit_bytes: int | None) -> Iterator[Path]:
    """A control group; a process enters it by writing its id into `cgroup.procs` in it."""
    version_2 = (_GROUPS / "cgroup.controllers").exists()
    group = (_GROUPS if version_2 else _GROUPS / "memory") / f"inkstream-cold-{os.getpid()}"
    try:
        group.mkdir()
        if limit_bytes is not None:
            name = "memory.max" if version_2 else "memory.limit_in_bytes"
            (group / name).write_text(str(limit_bytes))
    except OSError as error:
        sys.exit(f"a control group with a limit of memory cannot be made ({error}): run this as root")
    try:
        yield group
    finally:
        group.rmdir()


def tables(dataset: Path) -> list[Table]:
    """Streams the dataset's drawings, many times over, with all of them in memory and with ever less."""
    with TemporaryDirectory() as scratch:
        large = Path(scratch) / "large.lmdb"
        _write_often(dataset, large, DRAWINGS)
        size_bytes = large.stat().st_size
        warm, _ = _measure(large, None)
        found = [_measure(large, PROGRAM_BYTES + round(share * size_bytes)) for share in SHARES]
    notes = (
        f"{size_bytes / 1e9:.2f} GB of drawings in random order, in sparse words into a process on the same cores. The "
        f"server's memory is limited; measured for {MEASURE_S:.0f} s, {SETTLE_S:.0f} s after a start with an "
        "empty page cache. In memory is what the page cache holds in the end."
    )
    rows = [("all of it", f"{warm:,.0f}", "1.00x")]
    rows += [
        (f"{100 * cached_bytes / size_bytes:.0f} %", f"{rate:,.0f}", f"{rate / warm:.2f}x")
        for rate, cached_bytes in found
    ]
    header = ("in memory", "drawings/s", "against all of it")
    figures = {"cold_percent_of_warm": 100 * found[0][0] / warm}
    return [Table("A dataset larger than memory", notes, header, rows, figures)]


def _measure(dataset: Path, limit_bytes: int | None) -> tuple[float, int]:
    """Drawings per second, and what the page cache holds in the end.

    Without a limit the dataset is in memory before, else nothing of it.
    """
    with open(dataset, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while limit_bytes is None and file.read(1 << 20):
            pass
    with limited_group(limit_bytes) as group:
        enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        words = [*BATCH_SERVER, "serve", "--data", str(dataset.parent), "--listen", "127.0.0.1:0"]
        command = ["sh", "-c", enter, "sh", *words, "--memory", str(CHUNK_MEMORY_MIB), "--cache", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            try:
                address = server.stdout.readline().removeprefix("listening on ").strip()
                return _stream(address, dataset.stem), _cached_bytes(group)
            finally:
                server.kill()


def _cached_bytes(group: Path) -> int:
    """Of the page cache that counts as the group's."""
    words = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int(words.get("cache") or words["file"])


def _stream(address: str, name: str) -> float:
    pipeline = inkstream.Pipeline(dataset=name, batch_size=256, seed=7, augment=AUGMENT)
    with inkstream.connect(address) as client, client.stream(pipeline) as stream:
        begun = time.perf_counter()
        rows, counted_from = 0, 0.0
        for batch in stream:
            passed_s = time.perf_counter() - begun
            if passed_s < SETTLE_S:
                counted_from = passed_s
                continue
            rows += batch.rows.size
            if passed_s > SETTLE_S + MEASURE_S:
                return rows / (passed_s - counted_from)
    raise AssertionError("a stream without an end has ended")


def _write_often(source: Path, target: Path, drawings: int) -> None:
    """Writes the drawings of a dataset again and again, under new key ids and each time in another order."""
    dataset = Dataset.open(source)
    rng = np.random.default_rng(1)
    with DatasetWriter(target, dataset.kind, dataset.classes) as writer:
        for first in range(0, drawings, dataset.samples):
            indices = rng.permutation(dataset.samples)[: drawings - first]
            columns = {name: dataset.take(name, indices) for name in dataset.columns}
            columns["key_id"] = np.arange(first, first + len(indices), dtype=np.uint64)
            writer.append(dataset.records(indices), columns)
        writer.finish({})


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
