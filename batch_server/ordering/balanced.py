"""The order of an epoch in which all classes come equally often: position p has class p mod C of C classes.

The classes change their order with every C positions, so that they meet others in each batch. A class is walked through
by keyed permutations of its samples, one after another: those of a small class come again and again within an epoch,
each as often as the others but for one time; a large class goes on in the next epoch where this one left it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.ordering.permutation import permuted, round_keys
from batch_server.ordering.selection import Selection, Selector
from batch_server.randomness import operation, stream_key
from batch_server.store.columns import BLOCK_VALUES
from batch_server.store.reader import Dataset
from inkstream.errors import InvalidPipeline, Violation

_CLASS_ORDER = operation("class_order")
_WALK = operation("class_walk")


class Visits(NamedTuple):
    """Which samples positions lead to.

    Attributes:
        indices: int64 `[n]`, of the dataset's samples.
        numbers: uint64 `[n]`, how many times the run has come to the same sample before.
    """

    indices: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.uint64]


class ClassIndex:
    """The samples that pass a selection, class by class: 4 bytes for each. Samples without a label do not pass."""

    def __init__(self, members: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64]):
        """Takes the samples.

        Args:
            members: uint32 `[n]`, sample indices, sorted by class and within a class in dataset order.
            starts: int64 `[classes + 1]`, where those of each class begin, and n; no class is empty.
        """
        self._members, self._starts = members, starts

    @classmethod
    def build(cls, dataset: Dataset, selection: Selection) -> "ClassIndex":
        """Looks at the labels, and at the columns that the selection needs, twice: to count, and to fill in.

        Raises:
            InvalidPipeline: The dataset has no labels, or not a class that the filter names.
            RottenColumn: A block of a column does not match its checksum.
        """
        if not dataset.classes:
            rule = f"needs labels, and dataset {dataset.name!r} has none: leave it out"
            raise InvalidPipeline([Violation("class_balanced", rule)])
        selector = Selector(dataset, selection)
        counts = np.zeros(len(dataset.classes), np.int64)
        for _, labels in _passing_labels(dataset, selector):
            counts += np.bincount(labels[labels >= 0], minlength=len(counts))
        ends = np.cumsum(counts)
        members, free = np.empty(ends[-1], np.uint32), ends - counts
        for first, labels in _passing_labels(dataset, selector):
            _sort_in(labels, first, free, members)
        return cls(members, np.concatenate([[0], ends[counts > 0]]).astype(np.int64))

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self._members)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return self._members.nbytes + self._starts.nbytes

    def visits(self, positions: npt.NDArray[np.int64], seed: int, epoch: int) -> Visits:
        """Where positions of an epoch lead.

        Where the last turn of an epoch does not have all classes, those that it lacks leave one visit out.

        Args:
            positions: int64 `[n]`, each from 0 to below `count`.
            seed: 0 to 2**64 - 1.
            epoch: From 0.
        """
        indices, numbers = np.empty(len(positions), np.int64), np.empty(len(positions), np.uint64)
        _walk(positions, self._members, self._starts, np.uint64(seed), np.uint64(epoch), indices, numbers)
        return Visits(indices, numbers)


def _passing_labels(dataset: Dataset, selector: Selector) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """For each block of samples the index of the first and all labels, int32, -1 for those that do not pass."""
    columns = zip(dataset.blocks("label"), *(dataset.blocks(name) for name in selector.columns), strict=True)
    for block, (labels, *values) in enumerate(columns):
        if selector.columns:
            labels = np.where(selector.passing(dict(zip(selector.columns, values, strict=True))), labels, -1)
        yield block * BLOCK_VALUES, labels


@njit(cache=True, nogil=True)
def _sort_in(labels, first, free, members):  # type: ignore[no-untyped-def]
    """Puts the samples of a block behind those of their classes; `free` says where, and moves on."""
    for i in range(len(labels)):
        if labels[i] >= 0:
            members[free[labels[i]]] = first + i
            free[labels[i]] += 1


@njit(cache=True, nogil=True)
def _walk(positions, members, starts, seed, epoch, indices, numbers):  # type: ignore[no-untyped-def]
    """Fills in `indices` and `numbers`: from a position to its turn and class, from there to a step of a walk."""
    classes = np.int64(len(starts) - 1)
    turns = (np.int64(len(members)) + classes - 1) // classes  # in an epoch
    zero = np.uint64(0)
    last_turn, keys = np.int64(-1), np.empty(0, np.uint64)
    for i in range(len(positions)):
        turn = positions[i] // classes
        if turn != last_turn:
            last_turn, keys = turn, round_keys(stream_key(seed, epoch, np.uint64(turn), zero, _CLASS_ORDER))
        chosen = permuted(positions[i] - turn * classes, np.uint64(classes), keys)
        size = np.uint64(starts[chosen + 1] - starts[chosen])
        visit = epoch * np.uint64(turns) + np.uint64(turn)
        walk = visit // size
        steps = round_keys(stream_key(seed, walk, np.uint64(chosen), zero, _WALK))
        indices[i] = members[starts[chosen] + permuted(visit - walk * size, size, steps)]
        numbers[i] = walk
