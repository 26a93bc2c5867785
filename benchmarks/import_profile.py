"""Where the processor time of an import goes: `python -m benchmarks.import_profile SOURCE` prints seconds as JSON.

Each step is a function that is wrapped; its time is that of its own thread, without the steps that it calls.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batch_server.cli import main
from batch_server.importing import parts, writing
from batch_server.sources import inflating, opening, scan
from batch_server.store import fingerprint, lmdb_file, writer

STEPS: tuple[tuple[str, object, str], ...] = (
    ("inflate, CRC-32", inflating.InflatedMember, "readinto"),
    ("read the source", opening.SourceStream, "readinto"),
    ("parse and pack rows", scan, "scan"),
    ("write parts", parts.PartWriter, "add"),
    ("write parts", parts.PartWriter, "finish"),
    ("flush parts", parts.PartWriter, "publish"),
    ("find duplicates", writing, "find_duplicates"),
    ("find classes", writing.PartsMerger, "_classes"),
    ("check records, sum them, build pages", writer, "build_page"),
    ("fingerprint", fingerprint.Fingerprint, "add"),
    ("write and flush LMDB", lmdb_file.LmdbFile, "_commit"),
    ("write and flush LMDB", lmdb_file.LmdbFile, "finish"),
)
REST = "all else: rows into columns, reading parts, scheduling"

_TINY = 'key_id,drawing,word\n1,"[[[1],[2]]]",cat\n'


class _Clock:
    """Processor time by step."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._thread = threading.local()

    def wrap(self, step: str, owner: object, name: str) -> None:
        """Counts the time of a function from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            inner_s: list[float] = self._thread.__dict__.setdefault("inner_s", [0.0])
            inner_s.append(0.0)
            begun_s = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                taken_s = time.thread_time() - begun_s
                self.seconds[step] += taken_s - inner_s.pop()
                inner_s[-1] += taken_s

        setattr(owner, name, timed)


def profile(source: Path) -> dict[str, float]:
    """Imports a source in this process; seconds of processor time by step."""
    clock = _Clock()
    with TemporaryDirectory() as folder:
        tiny = Path(folder) / "tiny.csv"
        tiny.write_text(_TINY)
        dataset = ("--dataset", f"{folder}/x.lmdb", "--replace")
        main(["import", str(tiny), *dataset])  # loads the kernels
        for step in STEPS:
            clock.wrap(*step)
        begun_s = time.process_time()
        main(["import", str(source), *dataset])
        clock.seconds[REST] = time.process_time() - begun_s - clock.seconds.total()
    return dict(clock.seconds)


if __name__ == "__main__":
    sys.stdout, results = sys.stderr, sys.stdout
    print(json.dumps(profile(Path(sys.argv[1]))), file=results)
