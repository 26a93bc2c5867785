"""Reads the sources of a plan in parallel into parts; what an earlier attempt has read is not read again."""

import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from batch_server.importing.errors import ImportFailed
from batch_server.importing.parts import PartWriter
from batch_server.importing.plan import Plan, Slice, Task
from batch_server.importing.staging import Staging
from batch_server.sources.opening import Container, CorruptSource, Opener, SourceStream
from batch_server.sources.rows import Position, Rows
from batch_server.sources.walk import Source

# Reading a part again is all that a kill costs, per worker; each part costs a flush to the disk.
PART_BYTES = 32 << 20
# Of rows and rejects, which take some memory each until their part is written; 32 MiB of CSV have about 60,000.
PART_ENTRIES = 1 << 17
_TICK_S = 0.1


class Progress(NamedTuple):
    """How far reading has come: bytes, and drawings in them that this run has read."""

    read_bytes: int
    rows: int


def read_sources(plan: Plan, staging: Staging, workers: int, show: Callable[[Progress], None]) -> None:
    """Reads what is not in the staging folder yet.

    Args:
        plan: What to read.
        staging: Where the parts go.
        workers: Threads, at least 1.
        show: Called several times a second, in the calling thread.

    Raises:
        ImportFailed: A source cannot be read or has changed, or a part cannot be written.
    """
    reading = _Reading(plan, staging)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="publish") as publisher,
        ThreadPoolExecutor(workers, thread_name_prefix="import") as pool,
    ):
        try:
            pending = {pool.submit(reading.work, publisher) for _ in range(workers)}
            while pending:
                done, pending = wait(pending, timeout=_TICK_S, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                show(reading.progress)
        finally:
            reading.stop.set()


class _Step(NamedTuple):
    """Something read: rows, or why nothing of the source is to be kept; and where the task goes on after it."""

    source: int
    rows: Rows | None
    reason: str
    read_bytes: int
    slice: int
    after: Position


class _Reading:
    """What the workers share."""

    def __init__(self, plan: Plan, staging: Staging):
        self.stop = threading.Event()
        self.progress = Progress(0, 0)
        self._plan = plan
        self._staging = staging
        self._lock = threading.Lock()
        self._tasks: Iterator[tuple[int, Task]] = iter(enumerate(plan.tasks))

    def work(self, publisher: Executor) -> None:
        """Does task after task, until none is left or `stop` is set.

        Args:
            publisher: Publishes parts in the order in which it gets them, so that those of a task never have a gap.
        """
        publishing = _Publishing(publisher)
        with Opener() as opener:
            while not self.stop.is_set():
                with self._lock:
                    index, task = next(self._tasks, (-1, ()))
                if index < 0:
                    break
                self._do(index, task, opener, publishing)
        with self._failing():
            publishing.wait()

    def _do(self, index: int, task: Task, opener: Opener, publishing: "_Publishing") -> None:
        """Writes the missing parts of a task."""
        parts = self._staging.parts(index)
        begin, position = (parts[-1].footer.slice, parts[-1].footer.after) if parts else (0, task[0].start)
        self._advance(self._bytes_before(task, begin, position), 0)
        number = len(parts)
        with closing(_steps(self._plan.sources, task, begin, position, opener)) as steps:
            while begin is not None and not self.stop.is_set():
                with self._failing():
                    begin, position = self._write_part(
                        self._staging.part_path(index, number), position, steps, publishing
                    )
                number += 1

    def _write_part(
        self, path: Path, after: Position, steps: Iterator[_Step], publishing: "_Publishing"
    ) -> tuple[int | None, Position]:
        """Writes one part from a position on; returns in which slice and where the task goes on, None if it is done."""
        part_bytes = 0
        begin = None
        with PartWriter(path) as part:
            for step in steps:
                if self.stop.is_set():
                    return None, after
                if step.rows is None:
                    part.void(step.source, step.reason)
                else:
                    part.add(step.source, step.rows)
                self._advance(step.read_bytes, 0 if step.rows is None else len(step.rows.key_id))
                part_bytes += step.read_bytes
                after = step.after
                if part_bytes >= PART_BYTES or part.entries >= PART_ENTRIES:
                    begin = step.slice
                    break
            part.finish(begin, after)
            publishing.add(part)
        return begin, after

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Says what to do when a part cannot be written."""
        try:
            yield
        except OSError as error:
            raise ImportFailed(
                f"cannot write to {self._staging.folder}: {error.strerror or error}; make room, and run the "
                "same command again to go on"
            ) from error

    def _advance(self, read_bytes: int, rows: int) -> None:
        with self._lock:
            self.progress = Progress(self.progress.read_bytes + read_bytes, self.progress.rows + rows)

    def _bytes_before(self, task: Task, begin: int | None, position: Position) -> int:
        """What an earlier attempt has read of a task."""
        if begin is None:
            return sum(_size(self._plan.sources, piece) for piece in task)
        return (
            sum(_size(self._plan.sources, piece) for piece in task[:begin]) + position.offset - task[begin].start.offset
        )


class _Publishing:
    """Lets one part at a time reach the disk while its worker reads the next one."""

    def __init__(self, publisher: Executor):
        self._publisher = publisher
        self._last: Future[None] | None = None

    def add(self, part: PartWriter) -> None:
        """Takes a finished part; waits for the one before it.

        Raises:
            OSError: That one could not be written.
        """
        self.wait()
        self._last = self._publisher.submit(part.publish)

    def wait(self) -> None:
        """Waits until all parts have their names.

        Raises:
            OSError: The last one could not be written.
        """
        if self._last is not None:
            self._last.result()


def _steps(
    sources: list[Source], task: Task, begin: int | None, position: Position, opener: Opener
) -> Generator[_Step, None, None]:
    """Reads a task from some position on, across all parts, so that a stream is opened once.

    Raises:
        ImportFailed: A source cannot be read or has changed.
    """
    if begin is None:
        return
    for index in range(begin, len(task)):
        piece, source = task[index], sources[task[index].source]
        position = position if index == begin else piece.start
        assert source.format is not None, "a plan's tasks hold readable sources only"
        try:
            _check_unchanged(source)
            with opener.open(source.location) as stream:
                position = _go_to(stream, piece, position, source)
                for chunk in source.format.read(stream, position):
                    read_bytes = chunk.after.offset - position.offset
                    position = chunk.after
                    yield _Step(piece.source, chunk.rows, "", read_bytes, index, position)
        except CorruptSource as error:
            yield _Step(piece.source, None, str(error), 0, index, position)
        except OSError as error:
            raise ImportFailed(
                f"cannot read {source.name}: {error.strerror or error}; run the same command again to go on"
            ) from error


def _go_to(stream: SourceStream, piece: Slice, position: Position, source: Source) -> Position:
    """Brings a stream to a position, and to its end where the piece ends; returns where its first line begins."""
    assert source.format is not None, "a plan's tasks hold readable sources only"
    end = None if piece.end is None else stream.seek_line(piece.end)
    if position == piece.start != source.format.first:
        position = Position(stream.seek_line(position.offset), 1)
    else:
        stream.skip_to(position.offset)
    if end is not None:
        stream.limit(end - position.offset)
    return position


def _check_unchanged(source: Source) -> None:
    status = os.stat(source.location.path)
    same_size = source.location.container is Container.ZIP or status.st_size == source.size_bytes
    if status.st_mtime_ns != source.modified_ns or not same_size:
        raise ImportFailed(f"{source.name} has changed since the import began: run the same command again")


def _size(sources: list[Source], piece: Slice) -> int:
    return (sources[piece.source].size_bytes if piece.end is None else piece.end) - piece.start.offset
