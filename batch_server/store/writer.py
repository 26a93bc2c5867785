"""Writes a dataset in one pass, in bounded memory."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from batch_server.store.columns import BLOCK_VALUES, Column, Values, column
from batch_server.store.fingerprint import Fingerprint
from batch_server.store.kinds import KINDS
from batch_server.store.lmdb_file import LmdbFile
from batch_server.store.pages import PAGE_RECORDS, build_page
from batch_server.store.records import Records
from batch_server.store.schema import INDEX, LISTS, MANIFEST, RECORDS, SCHEMA_VERSION, Manifest, seal

# A value of a list holds about this much JSON, before it is compressed.
_LIST_VALUE_BYTES = 1 << 18


class DatasetWriter:
    """Writes a dataset; leaving the context without `finish` leaves a file that no reader takes.

    Memory stays at about 20 MiB and a page of records, however large the dataset. What is in the file and its
    fingerprint do not depend on how the samples are cut into batches.
    """

    def __init__(self, path: str | Path, kind: str, classes: Sequence[str]):
        """Begins a dataset.

        Args:
            path: Of its file; one that is there already is replaced.
            kind: Name of the kind of sample, as `drawing`.
            classes: Class names in label order, in code-point order and distinct; none for a dataset without labels.

        Raises:
            UnwritableDataset: The file cannot be created.
            ValueError: The kind is unknown, or the classes are not sorted and distinct.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if list(classes) != sorted(set(classes)):
            raise ValueError("classes must be distinct and in code-point order: pass sorted(set(names))")
        self._kind = KINDS[kind]
        self._classes = tuple(classes)
        self._columns = [column(name, len(classes)) for name in self._kind.columns]
        self._waiting_records = Records.of([])
        self._waiting_values: dict[str, Values] = {c.name: np.empty(0, c.dtype) for c in self._columns}
        self._samples = 0
        self._label_counts = np.zeros(len(classes) + 1, np.int64)
        self._written = 0
        self._fingerprint = Fingerprint(self._kind)
        self._file = LmdbFile(Path(path), (*self._fingerprint.databases, *LISTS))

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, records: Records, columns: Mapping[str, Values]) -> None:
        """Adds samples after those that are there.

        Args:
            records: Of n samples, each well-formed and at most 1 MiB.
            columns: For every column of the kind an array `[n]` of the type that the reader gives. Labels are -1 or
                a position in the classes.

        Raises:
            UnwritableDataset: The disk is full, say.
            ValueError: Columns are missing, unknown, of another length or type; a label is no class; or a record is
                not well-formed or too long. Nothing more can be appended then.
        """
        self._check(records, columns)
        self._label_counts += np.bincount(columns["label"] + 1, minlength=len(self._label_counts))
        self._samples += len(records)
        self._append_records(records)
        for stored in self._columns:
            self._append_values(stored, columns[stored.name])

    def finish(
        self,
        manifest_extra: Mapping[str, Any],
        rejects: Iterable[Mapping[str, Any]] = (),
        duplicates: Iterable[Mapping[str, Any]] = (),
        log: Iterable[Mapping[str, Any]] = (),
    ) -> str:
        """Writes what is left and closes the file; from now on it is a dataset.

        Args:
            manifest_extra: What the importer wants to remember, as JSON; it does not enter the fingerprint.
            rejects: A JSON object for each row turned away, in order.
            duplicates: A JSON object for each row that came again, in order.
            log: JSON objects that say what the import did.

        Returns:
            The fingerprint.

        Raises:
            UnwritableDataset: The disk is full, say.
            ValueError: There is no sample.
        """
        if not self._samples:
            raise ValueError("a dataset has at least one sample")
        if len(self._waiting_records):
            self._write_page(self._waiting_records)
        for stored in self._columns:
            if len(values := self._waiting_values[stored.name]):
                self._write(stored.name, seal(stored.encode(values)))
        counts = {
            name: self._write_list(name, rows)
            for name, rows in zip(LISTS, (rejects, duplicates, log), strict=True)
        }  # fmt: skip
        places = self._file.places()
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            kind=self._kind.name,
            classes=self._classes,
            samples=self._samples,
            class_counts=tuple(self._label_counts[1:].tolist()),
            unlabelled=int(self._label_counts[0]),
            fingerprint=self._fingerprint.hexdigest(self._classes, self._samples),
            rejected=counts["rejects"],
            duplicates=counts["duplicates"],
            values={name: len(of_name) for name, of_name in places.items()},
            extra=dict(manifest_extra),
        )
        index = np.concatenate(list(places.values())).astype("<i8").tobytes()
        self._file.finish({INDEX: seal(index), MANIFEST: seal(manifest.to_json())})
        return manifest.fingerprint

    def close(self) -> None:
        """Closes the file, finished or not."""
        self._file.close()

    def _check(self, records: Records, columns: Mapping[str, Values]) -> None:
        if set(columns) != set(self._waiting_values):
            raise ValueError(f"columns must be {', '.join(self._waiting_values)}, got {', '.join(columns)}")
        for stored in self._columns:
            values = columns[stored.name]
            if values.dtype != stored.dtype or values.shape != (len(records),):
                raise ValueError(
                    f"column {stored.name} must be {stored.dtype} [{len(records)}], "
                    f"got {values.dtype} {list(values.shape)}"
                )
        labels = columns["label"]
        if len(labels) and not (labels.min() >= -1 and labels.max() < len(self._classes)):
            raise ValueError(
                f"labels must be from -1 to {len(self._classes) - 1}, got {labels.min()} to {labels.max()}"
            )

    def _append_records(self, records: Records) -> None:
        """Writes the pages that are full, from where the records lie, and keeps the rest."""
        start = 0
        if len(self._waiting_records):
            start = min(PAGE_RECORDS - len(self._waiting_records), len(records))
            self._waiting_records = self._waiting_records.followed_by(records.part(0, start))
            if len(self._waiting_records) < PAGE_RECORDS:
                return
            self._write_page(self._waiting_records)
        while start + PAGE_RECORDS <= len(records):
            self._write_page(records.part(start, start + PAGE_RECORDS))
            start += PAGE_RECORDS
        # A copy, or the whole batch would stay in memory for the sake of its last records.
        self._waiting_records = Records.of([]).followed_by(records.part(start, len(records)))

    def _append_values(self, stored: Column, values: Values) -> None:
        """Writes the blocks that are full, and keeps the rest."""
        values = np.concatenate((self._waiting_values[stored.name], values))
        whole = len(values) - len(values) % BLOCK_VALUES
        for start in range(0, whole, BLOCK_VALUES):
            self._write(stored.name, seal(stored.encode(values[start : start + BLOCK_VALUES])))
        self._waiting_values[stored.name] = values[whole:].copy()

    def _write_page(self, records: Records) -> None:
        self._write(RECORDS, build_page(records, self._written, self._kind).data)
        self._written += len(records)

    def _write(self, database: str, value: bytes | memoryview) -> None:
        self._fingerprint.add(database, value)
        self._file.add(database, value)

    def _write_list(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Writes JSON lines; returns how many."""
        lines = bytearray()
        count = 0
        for row in rows:
            lines += json.dumps(row, ensure_ascii=False).encode() + b"\n"
            count += 1
            if len(lines) >= _LIST_VALUE_BYTES:
                self._file.add(name, seal(zlib.compress(lines)))
                lines.clear()
        if lines:
            self._file.add(name, seal(zlib.compress(lines)))
        return count
