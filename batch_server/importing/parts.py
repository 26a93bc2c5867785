"""Parts: rows on disk between reading and writing, so that an import can be killed and go on.

A part file is a sequence of chunks, a footer and a tail; numbers are little-endian. A chunk is a header (CHUNK and
CHECKSUM), seven arrays of n values (ARRAYS), the packed records and the rejects, JSON lines of `[line, reason]`. The
footer is a JSON object, the tail (TAIL) says how long it is. Chunks and footer have XXH3-64 checksums. A file is
written under a temporary name, flushed to the disk and renamed: what has its final name is whole.
"""

import json
import os
import struct
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import xxhash

from batch_server.importing.errors import ImportFailed
from batch_server.sources.rows import NO_CLASS, Position, Reject, Rows

MAGIC = b"INKPART\x01"
CHUNK = struct.Struct("<IIQI")  # source, rows, bytes of records, bytes of rejects
CHECKSUM = struct.Struct("<Q")  # of the header and of what follows this
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
KEYS_BYTES = 12  # of the first two arrays, which are also read alone
ROW_BYTES = sum(np.dtype(dtype).itemsize for _, dtype in ARRAYS)


class Footer(NamedTuple):
    """What a part says about itself.

    Attributes:
        classes: Names that its rows' `class_index` refers to.
        rows: How many rows it has of which source: index and number.
        void: Sources of which nothing is kept, also of what earlier parts hold: index and reason.
        slice: Where the next part goes on: index of the slice in the task, None if the task is done.
        after: The position there; if the task is done, where its last slice ended.
    """

    classes: list[str]
    rows: list[tuple[int, int]]
    void: list[tuple[int, str]]
    slice: int | None
    after: Position


class PartWriter:
    """Writes one part; without `finish`, only a temporary file is left, which the next attempt replaces."""

    def __init__(self, path: Path):
        self._path = path
        self._temporary = path.with_suffix(".tmp")
        self._file = open(self._temporary, "wb")
        self._file.write(MAGIC)
        self._classes: dict[str, int] = {}
        self._rows: Counter[int] = Counter()
        self._void: list[tuple[int, str]] = []

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, source: int, rows: Rows) -> None:
        """Takes rows and rejects of one source."""
        indices = np.array([self._classes.setdefault(name, len(self._classes)) for name in rows.classes], np.int32)
        of_part = np.append(indices, np.int32(NO_CLASS))  # NO_CLASS is -1 and so picks the last
        rows = rows._replace(class_index=of_part[rows.class_index])
        self._rows[source] += len(rows.key_id)
        rejects = b"".join(orjson.dumps(list(reject)) + b"\n" for reject in rows.rejects)
        arrays = [np.ascontiguousarray(getattr(rows, name), dtype).view(np.uint8) for name, dtype in ARRAYS]
        pieces = [array.data for array in (*arrays, rows.records)] + [memoryview(rejects)]
        header = (source, len(rows.key_id), len(rows.records), len(rejects))
        self._file.write(CHUNK.pack(*header) + CHECKSUM.pack(_checksum(header, *pieces)))
        for piece in pieces:
            self._file.write(piece)

    def void(self, source: int, reason: str) -> None:
        """Says that nothing of a source is to be kept."""
        self._void.append((source, reason))

    def finish(self, slice_index: int | None, after: Position) -> None:
        """Completes the part; see `Footer`."""
        rows = list(self._rows.items())
        fields = Footer(list(self._classes), rows, self._void, slice_index, after)._asdict()
        footer = json.dumps(fields).encode()
        self._file.write(footer + TAIL.pack(len(footer), xxhash.xxh3_64_intdigest(footer), MAGIC))
        self._file.flush()
        os.fsync(self._file.fileno())
        os.rename(self._temporary, self._path)


class StagedRows(NamedTuple):
    """A chunk of a part: rows and rejects of one source."""

    source: int
    rows: Rows


class _Header(NamedTuple):
    source: int
    rows: int
    record_bytes: int
    reject_bytes: int
    checksum: int

    @property
    def body_bytes(self) -> int:
        return self.rows * ROW_BYTES + self.record_bytes + self.reject_bytes


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
            self._chunks_end = size - TAIL.size - footer_bytes
            if magic != MAGIC or self._chunks_end < len(MAGIC):
                raise self._damaged()
            file.seek(self._chunks_end)
            footer = file.read(footer_bytes)
        if xxhash.xxh3_64_intdigest(footer) != checksum:
            raise self._damaged()
        fields: dict[str, Any] = json.loads(footer)
        fields["after"] = Position(*fields["after"])
        self.footer = Footer(**fields)

    def keys(self, void: Container[int]) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]]:
        """Key ids and class indices of all rows whose source is not void, chunk by chunk."""
        with open(self._path, "rb") as file:
            for header in self._headers(file):
                body_bytes, rows = header.body_bytes, header.rows
                if header.source not in void:
                    keys = file.read(rows * KEYS_BYTES)
                    body_bytes -= len(keys)
                    yield np.frombuffer(keys, "<u8", rows), np.frombuffer(keys, "<i4", rows, 8 * rows)
                file.seek(body_bytes, os.SEEK_CUR)

    def chunks(self) -> Iterator[StagedRows]:
        """All rows and rejects in order.

        Raises:
            ImportFailed: A chunk is not what was written.
        """
        with open(self._path, "rb") as file:
            for header in self._headers(file):
                body = file.read(header.body_bytes)
                if _checksum(header[:4], body) != header.checksum:
                    raise self._damaged()
                columns = {}
                at = 0
                for name, dtype in ARRAYS:
                    columns[name] = np.frombuffer(body, dtype, header.rows, at)
                    at += columns[name].nbytes
                records = np.frombuffer(body, np.uint8, header.record_bytes, at)
                rejects = [Reject(*orjson.loads(line)) for line in body[at + header.record_bytes :].splitlines()]
                rows = Rows(**columns, records=records, classes=self.footer.classes, rejects=rejects)
                yield StagedRows(header.source, rows)

    def _headers(self, file: BinaryIO) -> Iterator[_Header]:
        """The header of each chunk; the body comes next in the file."""
        file.seek(len(MAGIC))
        while (at := file.tell()) < self._chunks_end:
            fields = file.read(CHUNK.size)
            checksum = file.read(CHECKSUM.size)
            if len(checksum) < CHECKSUM.size:
                raise self._damaged()
            header = _Header(*CHUNK.unpack(fields), *CHECKSUM.unpack(checksum))
            if at + CHUNK.size + CHECKSUM.size + header.body_bytes > self._chunks_end:
                raise self._damaged()
            yield header

    def _damaged(self) -> ImportFailed:
        return ImportFailed(f"{self._path} is damaged: delete it and run the same command again")


def _checksum(header: tuple[int, ...], *body: bytes | memoryview) -> int:
    state = xxhash.xxh3_64(CHUNK.pack(*header))
    for piece in body:
        state.update(piece)
    return state.intdigest()
