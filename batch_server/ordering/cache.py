"""Keeps memberships, within a bound in bytes; each is built once, however many threads ask for it."""

import threading
from collections import OrderedDict
from concurrent.futures import Future

from batch_server.ordering.membership import Membership
from batch_server.ordering.selection import Selection
from batch_server.store.reader import Dataset

Key = tuple[str, Selection]


class MembershipCache:
    """Memberships by fingerprint and selection, least recently used first out."""

    def __init__(self, budget_bytes: int):
        """Begins empty.

        Args:
            budget_bytes: Most bytes that it keeps; the latest membership stays even if it alone is larger.
        """
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._building: dict[Key, Future[Membership]] = {}
        self._kept: OrderedDict[Key, Membership] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """Bytes kept now."""
        with self._lock:
            return sum(membership.size_bytes for membership in self._kept.values())

    def get(self, dataset: Dataset, selection: Selection) -> Membership:
        """The membership, built now if it is not kept; threads that ask meanwhile wait for it.

        Raises:
            InvalidPipeline: The filter names a class that the dataset does not have.
            RottenColumn: A block of a column does not match its checksum.
        """
        key = (dataset.fingerprint, selection)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            building = self._building.get(key)
            if building is None:
                mine = self._building[key] = Future()
        if building is not None:
            return building.result()
        try:
            membership = Membership.build(dataset, selection)
        except BaseException as error:
            with self._lock:
                del self._building[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._building[key]
            self._kept[key] = membership
            self._shrink()
        mine.set_result(membership)
        return membership

    def _shrink(self) -> None:
        size_bytes = sum(membership.size_bytes for membership in self._kept.values())
        while size_bytes > self._budget_bytes and len(self._kept) > 1:
            size_bytes -= self._kept.popitem(last=False)[1].size_bytes


# Ten selections of 50 million samples. One for the process: plans come and go, and share what they select.
MEMBERSHIPS = MembershipCache(budget_bytes=64 << 20)
