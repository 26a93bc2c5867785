"""Sources for the benchmark of imports: the drawings of a dataset, many times over under new key ids, in each format.

The rows are written as the published files write theirs. Distinct drawings lie far enough apart that repeating them
makes no archive smaller.
"""

import itertools
import json
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from batch_server.drawing.record import unpack
from batch_server.store.reader import Dataset
from benchmarks.dataset import QUICKDRAW

FILES = 12
_FIRST_KEY_ID = 5_000_000_000_000_000  # official ones have 16 digits
_COUNTRY, _SECONDS, _TIMESTAMP = "DE", 1_489_007_527, "2017-03-08 21:12:07.266040"
_RAW_KEY_ID = re.compile(rb'"key_id":"[0-9]+"')


class Drawings:
    """The drawings of a dataset, and rows of them."""

    def __init__(self, dataset: Path):
        """Reads them all.

        Args:
            dataset: With classes.
        """
        opened = Dataset.open(dataset)
        records = opened.records(np.arange(opened.samples))
        labels = np.concatenate(list(opened.blocks("label")))
        order = np.argsort(labels, kind="stable").tolist()
        self._words = [opened.classes[labels[index]] for index in order]
        self._strokes = [[points.T for points in unpack(records[index])] for index in order]
        self._json = [json.dumps([points.tolist() for points in strokes]) for strokes in self._strokes]

    def __len__(self) -> int:
        return len(self._words)

    def write_csv_zip(self, path: Path, copies: int) -> int:
        """Writes a zip of FILES members in the competition's layout; returns the bytes of text in it."""
        text_bytes = 0
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, rows in enumerate(self._files(copies)):
                lines = ["countrycode,drawing,key_id,recognized,timestamp,word\n"]
                lines += (
                    f'{_COUNTRY},"{self._json[index]}",{key_id},True,{_TIMESTAMP},{self._words[index]}\n'
                    for index, key_id in rows
                )
                text = "".join(lines)
                text_bytes += len(text)
                archive.writestr(f"{number:02d}.csv", text)
        return text_bytes

    def write_ndjson(self, folder: Path, copies: int) -> int:
        """Writes FILES files of Google's JSON lines; returns their bytes."""
        folder.mkdir()
        texts = [text.replace(" ", "") for text in self._json]
        for number, rows in enumerate(self._files(copies)):
            (folder / f"{number:02d}.ndjson").write_text(
                "".join(
                    f'{{"word":"{self._words[index]}","countrycode":"{_COUNTRY}","timestamp":"{_TIMESTAMP[:-1]} UTC",'
                    f'"recognized":true,"key_id":"{key_id}","drawing":{texts[index]}}}\n'
                    for index, key_id in rows
                )
            )
        return _bytes_in(folder)

    def write_bin(self, folder: Path, copies: int) -> int:
        """Writes FILES files of Google's binary layout; returns their bytes."""
        folder.mkdir()
        packed = [
            struct.pack("<2sbIH", _COUNTRY.encode(), 1, _SECONDS, len(strokes))
            + b"".join(struct.pack("<H", points.shape[1]) + points.tobytes() for points in strokes)
            for strokes in self._strokes
        ]
        for number, rows in enumerate(self._files(copies)):
            (folder / f"{number:02d}.bin").write_bytes(
                b"".join(key_id.to_bytes(8, "little") + packed[index] for index, key_id in rows)
            )
        return _bytes_in(folder)

    def _files(self, copies: int) -> Iterator[Iterator[tuple[int, int]]]:
        """For each file the drawings that are in it, with their key ids."""
        bounds = [len(self) * file // FILES for file in range(FILES + 1)]
        for start, stop in itertools.pairwise(bounds):
            yield (
                (index, _FIRST_KEY_ID + copy * len(self) + index)
                for copy in range(copies)
                for index in range(start, stop)
            )


def write_raw_ndjson(folder: Path, copies: int) -> tuple[int, int]:
    """Writes the real raw drawings that lie beside the project under new key ids; returns rows and bytes, 0 without."""
    folder.mkdir()
    rows = 0
    for number, path in enumerate(sorted((QUICKDRAW / "raw-ndjson").rglob("*.ndjson"))):
        lines = path.read_bytes().splitlines()
        with open(folder / f"{number % FILES:02d}.ndjson", "ab") as file:
            for _ in range(copies):
                for line in lines:
                    file.write(_RAW_KEY_ID.sub(b'"key_id":"%d"' % (_FIRST_KEY_ID + rows), line, count=1) + b"\n")
                    rows += 1
    return rows, _bytes_in(folder)


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
