"""Keeps what selections hold, within a bound in bytes; each is built once, however many threads ask for it."""

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import Any, Protocol, Self, TypeVar

from batch_server.ordering.selection import Selection
from batch_server.store.reader import Dataset


class Built(Protocol):
    """What is kept: the samples that pass a selection, in a form of its class's own."""

    @classmethod
    def build(cls, dataset: Dataset, selection: Selection) -> Self:
        """Looks at the dataset's columns."""
        ...

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        ...


_Kind = TypeVar("_Kind", bound=Built)
Key = tuple[type[Built], str, Selection]


class SelectionCache:
    """What was built, by its class, the dataset's fingerprint and the selection; least recently used first out."""

    def __init__(self, budget_bytes: int):
        """Begins empty.

        Args:
            budget_bytes: Most bytes that it keeps; of those that alone are larger it keeps the latest one besides.
        """
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._building: dict[Key, Future[Any]] = {}
        self._kept: OrderedDict[Key, Any] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """Bytes kept now."""
        with self._lock:
            return sum(kept.size_bytes for kept in self._kept.values())

    def get(self, kind: type[_Kind], dataset: Dataset, selection: Selection) -> _Kind:
        """What a class builds of a selection, now if it is not kept; threads that ask meanwhile wait for it.

        Raises:
            InvalidPipeline: The filter names a class that the dataset does not have.
            RottenColumn: A block of a column does not match its checksum.
        """
        key = (kind, dataset.fingerprint, selection)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: _Kind = self._kept[key]
                return kept
            building = self._building.get(key)
            if building is None:
                mine = self._building[key] = Future()
        if building is not None:
            awaited: _Kind = building.result()
            return awaited
        try:
            built = kind.build(dataset, selection)
        except BaseException as error:
            with self._lock:
                del self._building[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._building[key]
            self._kept[key] = built
            self._shrink()
        mine.set_result(built)
        return built

    def _shrink(self) -> None:
        """Lets go of the least recently used.

        One that is larger than the budget is not counted in it: it would have to be built again whenever another one is
        asked for, and a training with balanced classes asks in turn with all others.
        """
        sizes = {key: kept.size_bytes for key, kept in self._kept.items()}
        large = [key for key, size_bytes in sizes.items() if size_bytes > self._budget_bytes]
        for key in large[:-1]:
            del self._kept[key]
        small = OrderedDict((key, size_bytes) for key, size_bytes in sizes.items() if key not in large)
        excess_bytes = sum(small.values()) - self._budget_bytes
        while excess_bytes > 0:
            key, size_bytes = small.popitem(last=False)
            del self._kept[key]
            excess_bytes -= size_bytes


# Ten memberships in 50 million samples, or one class index of 16 million. One for the process: plans come and go, and
# share what they select.
SELECTIONS = SelectionCache(budget_bytes=64 << 20)
