"""What every format gives: rows in columns, and rejects."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNKNOWN_COUNTRY = 0
UNKNOWN_TIMESTAMP = 0
NOT_RECOGNIZED, RECOGNIZED, UNKNOWN_RECOGNIZED = 0, 1, 2
NO_CLASS = -1


class Row(NamedTuple):
    """One drawing of a source.

    Attributes:
        class_name: What it shows, None where the source does not say.
        key_id: 1..2**64-1.
        country: Two ASCII characters in 16 bits, the first one high, or UNKNOWN_COUNTRY.
        recognized: NOT_RECOGNIZED, RECOGNIZED or UNKNOWN_RECOGNIZED.
        timestamp: Seconds since 1970 in 32 bits, or UNKNOWN_TIMESTAMP.
        record: The packed drawing.
    """

    class_name: str | None
    key_id: int
    country: int
    recognized: int
    timestamp: int
    record: bytes


class Reject(NamedTuple):
    """A row that is not in the dataset: its line (or record) number from 1, 0 for a whole file, and why."""

    line: int
    reason: str


class Position(NamedTuple):
    """A place between two lines or records of a source: bytes before it, and the number, from 1, of the next one."""

    offset: int
    line: int


START = Position(0, 1)


class Rows(NamedTuple):
    """Consecutive rows of one source, n of them well formed.

    Attributes:
        key_id: uint64 `[n]`.
        class_index: int32 `[n]`, an index into `classes`, NO_CLASS where the source does not say.
        country: uint16 `[n]`.
        recognized: uint8 `[n]`.
        timestamp: uint32 `[n]`, seconds.
        line: int64 `[n]`, the line each row stands in, ascending.
        lengths: uint32 `[n]`, bytes of each record.
        records: uint8 `[sum of lengths]`, the packed drawings one after another.
        classes: Names that `class_index` refers to.
        rejects: The malformed rows among them.
    """

    key_id: npt.NDArray[np.uint64]
    class_index: npt.NDArray[np.int32]
    country: npt.NDArray[np.uint16]
    recognized: npt.NDArray[np.uint8]
    timestamp: npt.NDArray[np.uint32]
    line: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.uint32]
    records: npt.NDArray[np.uint8]
    classes: list[str]
    rejects: list[Reject]


class Chunk(NamedTuple):
    """Rows, and the position in the source after them."""

    rows: Rows
    after: Position


@dataclass
class RowsBuilder:
    """Collects rows one by one."""

    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def add(self, line: int, row: Row) -> None:
        """Takes a well-formed row."""
        self.lines.append(line)
        self.rows.append(row)

    def reject(self, line: int, reason: str) -> None:
        """Takes a malformed row."""
        self.rejects.append(Reject(line, reason))

    def build(self) -> Rows:
        """All that was taken, in order."""
        classes: dict[str, int] = {}
        class_index = [
            NO_CLASS if row.class_name is None else classes.setdefault(row.class_name, len(classes))
            for row in self.rows
        ]
        return Rows(
            np.array([row.key_id for row in self.rows], np.uint64),
            np.array(class_index, np.int32),
            np.array([row.country for row in self.rows], np.uint16),
            np.array([row.recognized for row in self.rows], np.uint8),
            np.array([row.timestamp for row in self.rows], np.uint32),
            np.array(self.lines, np.int64),
            np.array([len(row.record) for row in self.rows], np.uint32),
            np.frombuffer(b"".join(row.record for row in self.rows), np.uint8),
            list(classes),
            self.rejects,
        )


def merged(some: Rows, others: Rows) -> Rows:
    """Rows of different lines of one source, in the order of lines."""
    classes = list(dict.fromkeys([*some.classes, *others.classes]))
    # NO_CLASS is -1 and so picks the last.
    of_others = np.array([*map(classes.index, others.classes), NO_CLASS], np.int32)
    order = np.argsort(np.concatenate((some.line, others.line)), kind="stable")
    lengths = np.concatenate((some.lengths, others.lengths))
    data = np.concatenate((some.records, others.records)).data
    ends = np.cumsum(lengths, dtype=np.int64)
    bounds = list(zip((ends - lengths).tolist(), ends.tolist(), strict=True))
    records = b"".join(data[slice(*bounds[index])] for index in order.tolist())
    return Rows(
        np.concatenate((some.key_id, others.key_id))[order],
        np.concatenate((some.class_index, of_others[others.class_index]))[order],
        np.concatenate((some.country, others.country))[order],
        np.concatenate((some.recognized, others.recognized))[order],
        np.concatenate((some.timestamp, others.timestamp))[order],
        np.concatenate((some.line, others.line))[order],
        lengths[order],
        np.frombuffer(records, np.uint8),
        classes,
        sorted([*some.rejects, *others.rejects]),
    )
