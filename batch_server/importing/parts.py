"""Parts: rows on disk between reading and writing, so that an import can be killed and go on.

A part file is MAGIC; the packed records of its rows, one after another; their other values, an array for each of
ARRAYS; its rejects, JSON lines of `[source, line, reason]`; a footer, a JSON object; and a tail (TAIL), which says how
long the footer is and has its XXH3-64. The footer has that of all before it. Numbers are little-endian. A file is
written under a temporary name, flushed to the disk and renamed: what has its final name is whole.
"""

import json
import os
import struct
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from batch_server.importing.errors import ImportFailed
from batch_server.sources.rows import NO_CLASS, Position, Reject, Rows

MAGIC = b"INKPART\x02"
TAIL = struct.Struct("<QQ8s")  # bytes of the footer, its checksum, MAGIC
ARRAYS: tuple[tuple[str, str], ...] = (
    ("key_id", "<u8"),
    ("class_index", "<i4"),
    ("line", "<i8"),
    ("timestamp", "<u4"),
    ("lengths", "<u4"),
    ("country", "<u2"),
    ("recognized", "u1"),
)
KEYS = ("key_id", "class_index")
ROW_BYTES = sum(np.dtype(dtype).itemsize for _, dtype in ARRAYS)


class Footer(NamedTuple):
    """What a part says about itself.

    Attributes:
        classes: Names that its rows' `class_index` refers to.
        rows: How many rows it has of which source, in order: index and number.
        record_bytes: Of all records.
        reject_bytes: Of all rejects.
        checksum: XXH3-64 of all before the footer.
        keys_checksum: XXH3-64 of the first two arrays, which are also read alone.
        void: Sources of which nothing is kept, also of what earlier parts hold: index and reason.
        slice: Where the next part goes on: index of the slice in the task, None if the task is done.
        after: The position there; if the task is done, where its last slice ended.
    """

    classes: list[str]
    rows: list[tuple[int, int]]
    record_bytes: int
    reject_bytes: int
    checksum: int
    keys_checksum: int
    void: list[tuple[int, str]]
    slice: int | None
    after: Position

    @property
    def row_count(self) -> int:
        """How many rows it has."""
        return sum(count for _, count in self.rows)


class PartWriter:
    """Writes one part: records at once, all else at the end, so that the next step takes it up in large pieces.

    Without `finish` and `publish` only a temporary file is left, which the next attempt replaces.
    """

    def __init__(self, path: Path):
        self._path = path
        self._temporary = path.with_suffix(".tmp")
        self._file = open(self._temporary, "wb", buffering=0)
        self._checksum = xxhash.xxh3_64()
        self._write(MAGIC)
        self._classes: dict[str, int] = {}
        self._rows: list[tuple[int, int]] = []
        self._arrays: dict[str, list[npt.NDArray[Any]]] = {name: [] for name, _ in ARRAYS}
        self._record_bytes = 0
        self._rejects = bytearray()
        self._reject_count = 0
        self._void: list[tuple[int, str]] = []
        self._finished = False

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, *error: object) -> None:
        if not self._finished:
            self._file.close()

    @property
    def entries(self) -> int:
        """Rows and rejects so far; all but the records wait in memory."""
        return sum(count for _, count in self._rows) + self._reject_count

    def add(self, source: int, rows: Rows) -> None:
        """Takes rows and rejects of one source."""
        indices = [self._classes.setdefault(name, len(self._classes)) for name in rows.classes]
        of_part = np.array([*indices, NO_CLASS], np.int32)  # NO_CLASS is -1 and so picks the last
        rows = rows._replace(class_index=of_part[rows.class_index])
        before = self._rows.pop()[1] if self._rows and self._rows[-1][0] == source else 0
        self._rows.append((source, before + len(rows.key_id)))
        for name, _ in ARRAYS:
            self._arrays[name].append(getattr(rows, name))
        for line, reason in rows.rejects:
            self._rejects += orjson.dumps([source, line, reason], option=orjson.OPT_APPEND_NEWLINE)
        self._reject_count += len(rows.rejects)
        self._write(rows.records.data)
        self._record_bytes += len(rows.records)

    def void(self, source: int, reason: str) -> None:
        """Says that nothing of a source is to be kept."""
        self._void.append((source, reason))

    def finish(self, slice_index: int | None, after: Position) -> None:
        """Completes the part; see `Footer`."""
        keys = xxhash.xxh3_64()
        for name, dtype in ARRAYS:
            values = np.concatenate([np.empty(0, dtype), *self._arrays.pop(name)]).astype(dtype, copy=False)
            if name in KEYS:
                keys.update(values.data)
            self._write(values.data)
        self._write(self._rejects)
        fields = Footer(
            list(self._classes),
            self._rows,
            self._record_bytes,
            len(self._rejects),
            self._checksum.intdigest(),
            keys.intdigest(),
            self._void,
            slice_index,
            after,
        )
        footer = json.dumps(fields._asdict()).encode()
        self._write(footer + TAIL.pack(len(footer), xxhash.xxh3_64_intdigest(footer), MAGIC))
        self._finished = True

    def publish(self) -> None:
        """Makes the finished part durable and gives it its name."""
        with self._file:
            os.fsync(self._file.fileno())
        os.rename(self._temporary, self._path)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        self._checksum.update(data)
        left = memoryview(data).cast("B")
        while left:  # a write to a full disk may stop half-way; the next one raises
            left = left[self._file.write(left) :]


class StagedRows(NamedTuple):
    """Rows and rejects of one source."""

    source: int
    rows: Rows


class Part:
    """A whole part."""

    def __init__(self, path: Path):
        """Reads the footer.

        Raises:
            ImportFailed: The file is not what was written.
        """
        self._path = path
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL.size, 0))
            tail = file.read()
            footer_bytes, checksum, magic = TAIL.unpack(tail) if len(tail) == TAIL.size else (0, 0, b"")
            self._body_bytes = size - TAIL.size - footer_bytes
            if magic != MAGIC or self._body_bytes < len(MAGIC):
                raise self._damaged()
            file.seek(self._body_bytes)
            footer = file.read(footer_bytes)
        if xxhash.xxh3_64_intdigest(footer) != checksum:
            raise self._damaged()
        fields: dict[str, Any] = json.loads(footer)
        fields["after"] = Position(*fields["after"])
        self.footer = Footer(**fields)

    def keys(self, void: Container[int]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """Key ids and class indices of all rows whose source is not void.

        Raises:
            ImportFailed: They are not what was written.
        """
        rows = self.footer.row_count
        with open(self._path, "rb") as file:
            file.seek(len(MAGIC) + self.footer.record_bytes)
            key_id, class_index = np.fromfile(file, "<u8", rows), np.fromfile(file, "<i4", rows)
        checksum = xxhash.xxh3_64(key_id.data)
        checksum.update(class_index.data)
        if checksum.intdigest() != self.footer.keys_checksum:
            raise self._damaged()
        kept = [source not in void for source, _ in self.footer.rows]
        if not all(kept):
            of_rows = np.repeat(kept, [count for _, count in self.footer.rows])
            key_id, class_index = key_id[of_rows], class_index[of_rows]
        return key_id, class_index

    def chunks(self) -> Iterator[StagedRows]:
        """All rows and rejects in order, one piece for each source.

        Raises:
            ImportFailed: The part is not what was written.
        """
        footer, rows = self.footer, self.footer.row_count
        body = self._read_for_good()
        arrays_at = len(MAGIC) + footer.record_bytes
        rejects_at = arrays_at + rows * ROW_BYTES
        if (
            rejects_at + footer.reject_bytes != self._body_bytes
            or xxhash.xxh3_64_intdigest(memoryview(body)[: self._body_bytes]) != footer.checksum
        ):
            raise self._damaged()
        columns = {}
        at = arrays_at
        for name, dtype in ARRAYS:
            columns[name] = np.frombuffer(body, dtype, rows, at)
            at += columns[name].nbytes
        records = np.frombuffer(body, np.uint8, footer.record_bytes, len(MAGIC))
        rejects: dict[int, list[Reject]] = {}
        for line in body[rejects_at : self._body_bytes].splitlines():
            source, *reject = orjson.loads(line)
            rejects.setdefault(source, []).append(Reject(*reject))
        start = record_start = 0
        for source, count in footer.rows:
            piece = {name: values[start : start + count] for name, values in columns.items()}
            record_stop = record_start + int(piece["lengths"].sum())
            of_source = records[record_start:record_stop]
            yield StagedRows(
                source, Rows(**piece, records=of_source, classes=footer.classes, rejects=rejects.get(source, []))
            )
            start, record_start = start + count, record_stop

    def _read_for_good(self) -> bytes:
        """The whole file; nobody will read it again: the system need not keep it in memory, and deletes it faster."""
        with open(self._path, "rb") as file:
            body = file.read()
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return body

    def _damaged(self) -> ImportFailed:
        return ImportFailed(f"{self._path} is damaged: delete it and run the same command again")
