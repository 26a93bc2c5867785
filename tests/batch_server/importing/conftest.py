"""Generated sources with everything that an import meets, and imports that can be killed."""

import gzip
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from batch_server.importing.importer import import_drawings
from batch_server.importing.reading import Progress
from batch_server.importing.writing import Summary

START_TIMEOUT_S = 240
END_TIMEOUT_S = 60


class SilentDisplay:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.read_rows = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def looking(self) -> None:
        pass

    def reading(self, progress: Progress, total_bytes: int) -> None:
        self.read_rows = progress.rows

    def writing(self, rows: int, total_rows: int) -> None:
        pass


def imported(*paths: Path, to: Path, display: SilentDisplay | None = None, **options: object) -> Summary:
    """Imports in this process."""
    settings = {"class_name": None, "replace": False, "workers": 2} | options
    return import_drawings(paths, to, display=display or SilentDisplay(), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def run_import():
    """Imports in this process: `run_import(paths..., to=target)`."""
    return imported


@pytest.fixture
def silent_display() -> SilentDisplay:
    """A display that keeps what it is told."""
    return SilentDisplay()


class Sources(NamedTuple):
    """A folder of sources, and what an import of it must give.

    Attributes:
        folder: Files of every format.
        key_ids: Of the dataset's samples, in order.
        labels: Class names of the samples.
        rejected: How many rows and files are turned away.
        duplicates: How many rows come again.
    """

    folder: Path
    key_ids: list[int]
    labels: list[str]
    rejected: int
    duplicates: int


def write_sources(folder: Path, rows_per_file: int = 150) -> Sources:
    """Writes about eight times as many rows, one in ten malformed and one in ten a duplicate of an earlier one."""
    rng = random.Random(7)
    seen: dict[int, str] = {}
    counts: Counter[str] = Counter()

    def rows(word: str) -> Iterator[tuple[int, str, list[list[list[int]]]]]:
        for _ in range(rows_per_file):
            strokes = [[[rng.randrange(256) for _ in range(n)] for _ in "xy"] for n in (2, rng.randint(1, 12))]
            chance = rng.random()
            if chance < 0.1:
                counts["rejected"] += 1
                yield 0, word, strokes
            elif chance < 0.2 and seen:
                counts["duplicates"] += 1
                yield rng.choice(list(seen)), word, strokes
            else:
                key_id = rng.randrange(1, 2**53)
                seen[key_id] = word
                yield key_id, word, strokes

    def csv(word: str) -> str:
        lines = ["key_id,drawing,word,timestamp"]
        lines += [f'{key_id},"{json.dumps(strokes)}",{word},2017-03-01 00:00:00' for key_id, _, strokes in rows(word)]
        return "\n".join(lines)

    def ndjson(word: str) -> str:
        return "\n".join(
            json.dumps({"word": word, "key_id": str(key_id), "drawing": strokes}) for key_id, _, strokes in rows(word)
        )

    def binary(word: str) -> bytes:
        records = b""
        for key_id, _, strokes in rows(word):
            records += struct.pack("<Q2sbIH", key_id, b"DE", 1, 5, len(strokes))
            for x, y in strokes:
                records += struct.pack("<H", len(x)) + bytes(x) + bytes(y)
        return records

    # In the order of an import: code points of the names.
    (folder / "LICENSE").write_text("not a drawing\n")
    counts["rejected"] += 1
    (folder / "a.csv").write_text(csv("zebra"))
    with zipfile.ZipFile(folder / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.csv", csv("ant"))
        archive.writestr("2.ndjson", ndjson("bee"))
        archive.writestr("notes.txt", "nothing\n")
        counts["rejected"] += 1
        before, kept = dict(counts), dict(seen)
        archive.writestr("3.bin", binary("lost") + b"\1")  # breaks off behind its last record, so all of it is void
        counts.clear()
        counts.update(before)
        counts["rejected"] += 1
        seen.clear()
        seen.update(kept)
    (folder / "cat.bin").write_bytes(binary("cat"))
    (folder / "d.ndjson.gz").write_bytes(gzip.compress(ndjson("dog").encode()))
    raw = "\n".join(
        json.dumps({"word": word, "key_id": str(key_id), "drawing": [[x, y, list(range(len(x)))] for x, y in strokes]})
        for key_id, word, strokes in rows("eel")
    )
    (folder / "e.ndjson").write_text(raw)
    return Sources(folder, list(seen), list(seen.values()), counts["rejected"], counts["duplicates"])


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """A folder of sources, and what an import of it must give."""
    return write_sources(tmp_path_factory.mktemp("sources"))


class ForkedImports:
    """Imports in processes of their own, quick to start; see forked_imports.py."""

    def __init__(self, output: Path):
        script = Path(__file__).with_name("forked_imports.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._output = output
        self._child = 0
        assert self._line(START_TIMEOUT_S) == "ready"

    def start(self, *words: object, **request: object) -> None:
        """Starts an import."""
        assert self._process.stdin is not None
        request |= {"words": ["import", *map(str, words)], "output": str(self._output)}
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._child = int(self._line(END_TIMEOUT_S))

    def interrupt(self, with_signal: signal.Signals) -> None:
        """Sends a signal to the import that runs."""
        os.kill(self._child, with_signal)

    def wait_until_paused(self) -> None:
        """Waits until the import has come to its pause."""
        assert self._line(END_TIMEOUT_S) == "paused"

    def ends_within(self, timeout_s: float) -> bool:
        """Waits for an import's end, for a while."""
        return bool(select.select([self._process.stdout], [], [], timeout_s)[0])

    def exit_code(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Waits for an import's end; -9 if it was killed."""
        return int(self._line(timeout_s))

    def run(self, *words: object, **request: object) -> int:
        """Runs an import to its end."""
        self.start(*words, **request)
        return self.exit_code()

    def output(self) -> str:
        """What the last import has printed on both streams."""
        return self._output.read_text()

    def stop(self) -> None:
        """Ends the process that forks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(END_TIMEOUT_S)
        self._process.stdout.close()

    def _line(self, timeout_s: float) -> str:
        line = b""
        while not line.endswith(b"\n"):
            assert self.ends_within(timeout_s), f"no answer within {timeout_s} s"
            assert self._process.stdout is not None
            piece = os.read(self._process.stdout.fileno(), 1)
            assert piece, "the process that forks has died"
            line += piece
        return line.decode().strip()


@pytest.fixture(scope="module")
def forked_imports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedImports]:
    """Imports that can be killed."""
    forks = ForkedImports(tmp_path_factory.mktemp("forks") / "output")
    yield forks
    forks.stop()
