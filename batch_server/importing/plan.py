"""What an import will do: which sources, in which order, cut into which tasks."""

import json
from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from batch_server.importing.errors import ImportRefused
from batch_server.sources.opening import Container
from batch_server.sources.rows import Position
from batch_server.sources.walk import Source

# Raised when the same sources would give other parts: an unfinished import of an older version then starts anew.
STAGING_VERSION = 2
# Enough tasks to keep many workers busy to the end, but no more files than needed.
TASKS = 128
TASK_BYTES_MIN, TASK_BYTES_MAX = 4 << 20, 32 << 20


class Slice(NamedTuple):
    """A piece of a source.

    Attributes:
        source: Index in the plan's sources.
        start: Where it begins. In a piece that is not the source's first, line numbers count from 1 again, and the
            line in which the offset lies belongs to the piece before.
        end: Lines that begin here belong to the next piece; None to the source's end.
    """

    source: int
    start: Position
    end: int | None = None


Task = tuple[Slice, ...]


class Plan(NamedTuple):
    """An import.

    Attributes:
        sources: In their fixed order; some have no format and are rejects.
        tasks: Each is read by one worker; one after another they give all rows in order.
        labelled: Whether the rows have classes.
        signature: Equal for equal sources, sizes, times of change and options.
    """

    sources: list[Source]
    tasks: list[Task]
    labelled: bool
    signature: str

    @property
    def total_bytes(self) -> int:
        """What there is to read."""
        return sum(source.size_bytes for source in self.sources if source.format is not None)


def make_plan(sources: list[Source], class_name: str | None, task_bytes: int | None = None) -> Plan:
    """Plans an import.

    Args:
        sources: In order.
        class_name: The option of that name.
        task_bytes: About how much a task reads; by default it follows from the size of all.

    Raises:
        ImportRefused: Some sources say what their drawings show and some do not.
    """
    readable = [source for source in sources if source.format is not None]
    if task_bytes is None:
        total = sum(source.size_bytes for source in readable)
        task_bytes = min(max(total // TASKS, TASK_BYTES_MIN), TASK_BYTES_MAX)
    described: list[object] = [STAGING_VERSION, class_name, task_bytes]
    for source in sources:
        path = str(source.location.path.absolute())
        described.append((path, source.location.member, source.size_bytes, source.modified_ns))
    signature = xxhash.xxh3_128_hexdigest(json.dumps(described).encode())
    return Plan(sources, _tasks(sources, task_bytes), _labelled(readable), signature)


def _labelled(sources: Sequence[Source]) -> bool:
    """Whether all sources have classes; a dataset in which only some drawings have one would be neither."""
    examples = {source.format.labelled: source for source in reversed(sources) if source.format is not None}
    if len(examples) == 2:
        raise ImportRefused(
            "a dataset has classes or has none, but "
            f"{examples[True].name} names them and {examples[False].name} does not: "
            "import them into two datasets, or give the class of the latter with --class"
        )
    return True in examples


def _tasks(sources: Sequence[Source], task_bytes: int) -> list[Task]:
    """Cuts large plain files into pieces of lines, and puts small sources together."""
    tasks: list[Task] = []
    waiting: list[Slice] = []
    waiting_bytes = 0
    for index, source in enumerate(sources):
        if source.format is None:
            continue
        if source.size_bytes >= 2 * task_bytes and _divisible(source):
            if waiting:
                tasks.append(tuple(waiting))
                waiting, waiting_bytes = [], 0
            tasks += _pieces(index, source.format.first, source.size_bytes, task_bytes)
            continue
        waiting.append(Slice(index, source.format.first))
        waiting_bytes += source.size_bytes
        if waiting_bytes >= task_bytes:
            tasks.append(tuple(waiting))
            waiting, waiting_bytes = [], 0
    if waiting:
        tasks.append(tuple(waiting))
    return tasks


def _divisible(source: Source) -> bool:
    return source.location.container is Container.PLAIN and source.format is not None and source.format.made_of_lines


def _pieces(index: int, first: Position, size_bytes: int, task_bytes: int) -> list[Task]:
    bounds = [*range(task_bytes, size_bytes - task_bytes // 2, task_bytes), None]
    starts = [first, *(Position(bound, 1) for bound in bounds if bound is not None)]
    return [(Slice(index, start, end),) for start, end in zip(starts, bounds, strict=True)]
