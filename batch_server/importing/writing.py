"""Writes the dataset from the parts, in the plan's order: the same sources give the same bytes, whoever read them."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import numpy.typing as npt

from batch_server.importing.ahead import ahead
from batch_server.importing.duplicates import Marks, find_duplicates
from batch_server.importing.errors import ImportFailed
from batch_server.importing.plan import Plan
from batch_server.importing.staging import Staging
from batch_server.sources.rows import NO_CLASS, Reject, Rows
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter

KIND = "drawing"
# A class for every row is a mistake, such as a key id in the column `word`.
CLASSES_LIMIT = 65_534
FIRST_REJECTS = 5


class Summary(NamedTuple):
    """What came of an import; without samples there is no dataset.

    Attributes:
        samples: Drawings in the dataset.
        classes: Classes that they have.
        rejected: Rows and files that were turned away.
        duplicates: Rows whose key id had come before.
        first_rejects: A few of them, as text.
        fingerprint: Of the dataset.
    """

    samples: int
    classes: int
    rejected: int
    duplicates: int
    first_rejects: list[str]
    fingerprint: str


class PartsMerger:
    """Merges the parts of a staging folder into one dataset."""

    def __init__(self, plan: Plan, staging: Staging):
        """Reads the parts' footers.

        Raises:
            ImportFailed: A part is damaged.
        """
        self._plan = plan
        self._staging = staging
        self._parts = [staging.parts(task) for task in range(len(plan.tasks))]
        assert all(parts[-1].footer.slice is None for parts in self._parts), "every task has been read to its end"
        footers = [part.footer for parts in self._parts for part in parts]
        self._void = {source: reason for footer in footers for source, reason in footer.void}
        self.rows = sum(rows for footer in footers for source, rows in footer.rows if source not in self._void)
        self._lists = {name: staging.folder / f"{name}.jsonl" for name in ("rejects", "duplicates")}
        self._counts = {name: Counter[int]() for name in ("samples", "rejects", "duplicates")}
        self._first_rejects: list[str] = []

    def write(self, extra: dict[str, Any], show: Callable[[int], None]) -> Summary:
        """Writes the dataset into the staging folder.

        Args:
            extra: What its manifest is to remember.
            show: Called with the number of rows written so far.

        Raises:
            ImportFailed: A part is damaged, or there are too many classes.
            OSError: The dataset cannot be written.
        """
        again = find_duplicates((key_id for key_id, _ in self._keys()), self.rows, self._staging.folder / "buckets")
        classes = self._classes(again)
        with DatasetWriter(self._staging.dataset, KIND, classes) as writer:
            self._append_all(writer, again, {name: label for label, name in enumerate(classes)}, show)
            samples = self._counts["samples"].total()
            fingerprint = ""
            if samples:
                lists = {name: _json_lines(path) for name, path in self._lists.items()}
                fingerprint = writer.finish(extra, **lists, log=self._log())
        return Summary(
            samples,
            len(classes),
            self._counts["rejects"].total(),
            self._counts["duplicates"].total(),
            self._first_rejects,
            fingerprint,
        )

    def _keys(self) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]]:
        for parts in self._parts:
            for part in parts:
                yield part.keys(self._void)

    def _classes(self, again: Marks) -> list[str]:
        """The classes that the dataset's drawings have, in code-point order: those of kept rows only."""
        names: set[str] = set()
        position = 0
        for parts in self._parts:
            for part in parts:
                _, class_index = part.keys(self._void)
                kept = class_index[~again.take(position, position + len(class_index))]
                position += len(class_index)
                seen = np.zeros(len(part.footer.classes) + 1, np.bool_)
                seen[kept] = True  # NO_CLASS is -1 and so marks the last
                names.update(name for name, is_seen in zip(part.footer.classes, seen.tolist(), strict=False) if is_seen)
        if len(names) > CLASSES_LIMIT:
            raise ImportFailed(
                f"a dataset has at most {CLASSES_LIMIT:,} classes, got {len(names):,}: "
                "does the column `word` hold classes?"
            )
        return sorted(names)

    def _append_all(
        self, writer: DatasetWriter, again: Marks, labels: dict[str, int], show: Callable[[int], None]
    ) -> None:
        """Appends all rows that are no duplicates, and lists rejects and duplicates."""
        unread = self._rejected_sources()
        position = 0
        classes: list[str] = []
        label_of = np.array([NO_CLASS], np.int32)
        with open(self._lists["rejects"], "w") as rejects, open(self._lists["duplicates"], "w") as duplicates:
            for source, rows in ahead(self._chunks()):
                while unread and unread[0][0] < source:
                    self._reject(rejects, *unread.popleft())
                for line, reason in rows.rejects:
                    self._reject(rejects, source, reason, line)
                marked = again.take(position, position + len(rows.key_id))
                position += len(marked)
                for index in np.flatnonzero(marked).tolist():
                    self._duplicate(duplicates, source, int(rows.key_id[index]), int(rows.line[index]))
                kept = _without(rows, marked) if marked.any() else rows
                self._counts["samples"][source] += len(kept.key_id)
                if rows.classes is not classes:  # each part has a list of its own
                    classes = rows.classes
                    label_of = np.array([*(labels.get(name, NO_CLASS) for name in classes), NO_CLASS], np.int32)
                _append(writer, kept, label_of)
                show(position)
            for source, reason in unread:
                self._reject(rejects, source, reason)

    def _chunks(self) -> Iterator[tuple[int, Rows]]:
        """All rows and rejects of sources that are not void, their lines counted from the source's beginning."""
        lines_before: Counter[int] = Counter()
        for task, parts in zip(self._plan.tasks, self._parts, strict=True):
            for part in parts:
                for source, rows in part.chunks():
                    if source not in self._void:
                        yield source, _moved(rows, lines_before[source])
            lines_before[task[-1].source] += parts[-1].footer.after.line - 1

    def _rejected_sources(self) -> deque[tuple[int, str]]:
        """Sources of which nothing is kept, in order."""
        unread = {index: source.reason for index, source in enumerate(self._plan.sources) if source.format is None}
        return deque(sorted((unread | self._void).items()))

    def _reject(self, file: TextIO, source: int, reason: str, line: int = 0) -> None:
        entry = {"file": self._plan.sources[source].name, "line": line, "reason": reason}
        file.write(json.dumps(entry) + "\n")
        self._counts["rejects"][source] += 1
        if len(self._first_rejects) < FIRST_REJECTS:
            self._first_rejects.append(
                f"{entry['file']}, line {line}: {reason}" if line else f"{entry['file']}: {reason}"
            )

    def _duplicate(self, file: TextIO, source: int, key_id: int, line: int) -> None:
        entry = {"key_id": key_id, "file": self._plan.sources[source].name, "line": line}
        file.write(json.dumps(entry) + "\n")
        self._counts["duplicates"][source] += 1

    def _log(self) -> Iterator[dict[str, Any]]:
        """What came of each source."""
        for index, source in enumerate(self._plan.sources):
            counts = {name: of_source[index] for name, of_source in self._counts.items()}
            yield {"file": source.name, "format": source.format.name if source.format else None, **counts}


def _append(writer: DatasetWriter, rows: Rows, label_of: npt.NDArray[np.int32]) -> None:
    offsets = np.zeros(len(rows.lengths) + 1, np.int64)
    np.cumsum(rows.lengths, out=offsets[1:])
    columns: dict[str, npt.NDArray[Any]] = {
        "label": label_of[rows.class_index],
        "key_id": rows.key_id,
        "country": rows.country,
        "recognized": rows.recognized,
        "timestamp": rows.timestamp,
    }
    writer.append(Records(rows.records, offsets, np.zeros(len(rows.lengths), np.bool_)), columns)


def _moved(rows: Rows, lines: int) -> Rows:
    """The rows with other line numbers: those of a source's later piece are counted from the piece's beginning."""
    return rows._replace(line=rows.line + lines, rejects=[Reject(line + lines, why) for line, why in rows.rejects])


def _without(rows: Rows, marked: npt.NDArray[np.bool_]) -> Rows:
    """The rows that are not marked."""
    kept = ~marked
    return Rows(
        rows.key_id[kept],
        rows.class_index[kept],
        rows.country[kept],
        rows.recognized[kept],
        rows.timestamp[kept],
        rows.line[kept],
        rows.lengths[kept],
        rows.records[np.repeat(kept, rows.lengths)],
        rows.classes,
        rows.rejects,
    )


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path) as file:
        for line in file:
            yield json.loads(line)
