"""Rows per second of imports, by format; their memory; and where their time goes. `python -m benchmarks.import_rows`.

The whole command is timed, several times in turns with the same command on a single row, whose time is the start-up.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.dataset import BATCH_SERVER, imported_dataset
from benchmarks.import_sources import Drawings, write_raw_ndjson
from benchmarks.table import Table

ROUNDS = 3
ROWS = 390_000
RAW_COPIES = 3
# How often memory is looked at, seconds.
_LOOK_S = 0.005
_TINY = 'key_id,drawing,word\n1,"[[[1],[2]]]",cat\n'


class _Source(NamedTuple):
    """What is imported: rows, and bytes of text (or records) in it."""

    path: Path
    rows: int
    size_bytes: int


class _Seen(NamedTuple):
    """What one import took."""

    seconds: float
    processor_s: float
    peak_bytes: int


def tables(dataset: Path) -> list[Table]:
    """Imports the drawings of a dataset, several times over, in each format."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sources = _write_sources(dataset, folder)
        _import(sources["start-up"].path, folder)  # so that kernels and byte code are there
        found: dict[str, list[_Seen]] = {name: [] for name in sources}
        for _ in range(ROUNDS):
            for name, source in sources.items():
                found[name].append(_import(source.path, folder))
        csv = next(name for name in sources if name != "start-up")
        words = (sys.executable, "-m", "benchmarks.import_profile", str(sources[csv].path))
        steps: dict[str, float] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return [_rates(sources, found, csv), _steps(steps, sources[csv].rows)]


def _write_sources(dataset: Path, folder: Path) -> dict[str, _Source]:
    tiny = folder / "tiny.csv"
    tiny.write_text(_TINY)
    drawings = Drawings(dataset)
    copies = max(1, round(ROWS / len(drawings)))
    rows = copies * len(drawings)
    formats: dict[str, tuple[Path, Callable[[Path, int], int]]] = {
        "Kaggle CSV in a zip": (folder / "csv.zip", drawings.write_csv_zip),
        "simplified ndjson": (folder / "ndjson", drawings.write_ndjson),
        ".bin": (folder / "bin", drawings.write_bin),
    }
    sources = {"start-up": _Source(tiny, 1, len(_TINY))}
    sources |= {name: _Source(path, rows, write(path, copies)) for name, (path, write) in formats.items()}
    raw_rows, raw_bytes = write_raw_ndjson(folder / "raw", RAW_COPIES)
    if raw_rows:
        sources["raw ndjson, simplified"] = _Source(folder / "raw", raw_rows, raw_bytes)
    return sources


def _import(source: Path, folder: Path) -> _Seen:
    target = folder / "x.lmdb"
    command = (*BATCH_SERVER, "import", str(source), "--dataset", str(target), "--replace")
    # Byte code is kept, as after an installation, also where the environment says otherwise.
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    before, begun_s = os.times(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as process:
        memory = _Memory(process.pid)
        memory.start()
        code = process.wait()
        seconds = time.perf_counter() - begun_s
    memory.join()
    after = os.times()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    processor_s = after.children_user + after.children_system - before.children_user - before.children_system
    return _Seen(seconds, processor_s, memory.peak_bytes)


class _Memory(threading.Thread):
    """Looks at a process's anonymous memory (RssAnon in Linux' /proc/PID/status) until it ends; it has no children."""

    def __init__(self, process: int):
        super().__init__()
        self._status = Path(f"/proc/{process}/status")
        self.peak_bytes = 0

    def run(self) -> None:
        """Keeps the largest value."""
        while True:
            try:
                text = self._status.read_text()
            except OSError:
                return
            if "RssAnon:" not in text:  # it has ended
                return
            self.peak_bytes = max(self.peak_bytes, 1024 * int(text.partition("RssAnon:")[2].split()[0]))
            time.sleep(_LOOK_S)


def _rates(sources: dict[str, _Source], found: dict[str, list[_Seen]], csv: str) -> Table:
    start_s = statistics.median(seen.seconds for seen in found["start-up"])
    rates: dict[str, float] = {}
    rows = []
    for name, source in sources.items():
        seconds = statistics.median(seen.seconds for seen in found[name])
        processor_s = statistics.median(seen.processor_s for seen in found[name])
        peak = max(seen.peak_bytes for seen in found[name])
        rates[name] = source.rows / (seconds - start_s) if name != "start-up" else 0.0
        rows.append(
            (
                name,
                f"{source.rows:,}",
                f"{source.size_bytes / 1e6:,.0f}",
                f"{seconds:.2f}",
                f"{rates[name]:,.0f}" if rates[name] else "",
                f"{rates[name] * source.size_bytes / source.rows / 1e6:,.0f}" if rates[name] else "",
                f"{rates[name] / rates[csv]:.2f}x" if rates[name] and csv in rates else "",
                f"{processor_s:.2f}",
                f"{peak / 1e6:.0f}",
            )
        )
    notes = (
        f"`batch-server import` as a process, medians of {ROUNDS} in turns, memory the largest. Rows per second are of "
        "the time beyond start-up, which is what the import of a single row takes."
    )
    header = ("source", "rows", "MB inflated", "seconds", "rows/s", "MB/s", "against CSV", "CPU s", "anonymous MB")
    peak_mb = max(seen.peak_bytes for of_name in found.values() for seen in of_name) / 1e6
    return Table("Import", notes, header, rows, {"import_rows_per_s": rates[csv], "import_mb": peak_mb})


def _steps(steps: dict[str, float], rows: int) -> Table:
    total = sum(steps.values())
    lines = [
        (name, f"{seconds / rows * 1e6:.3f}", f"{100 * seconds / total:.0f} %")
        for name, seconds in sorted(steps.items(), key=lambda step: -step[1])
    ]
    lines.append(("together", f"{total / rows * 1e6:.3f}", "100 %"))
    notes = (
        "Processor time of all threads, start-up apart; a flush is mostly waiting for the disk, which is not counted."
    )
    return Table("Where an import of the zip spends its time", notes, ("step", "us/row", "share"), lines)


if __name__ == "__main__":
    with imported_dataset() as path:
        for table in tables(path):
            print(table.as_text())
