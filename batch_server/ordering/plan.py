"""What stands where in an epoch: from (epoch, step, row) to a sample."""

import numpy as np
import numpy.typing as npt

from batch_server.ordering.balanced import ClassIndex, Visits
from batch_server.ordering.cache import SELECTIONS, SelectionCache
from batch_server.ordering.membership import Membership
from batch_server.ordering.permutation import permute
from batch_server.ordering.selection import Selection
from batch_server.store.reader import Dataset
from inkstream.chunking import Span
from inkstream.errors import EmptySplit
from inkstream.pipeline import Pipeline

# Of a filter in an error, whose details must stay under gRPC's limit.
_FILTER_CHARACTERS = 300


class EpochPlan:
    """The order of every epoch of a pipeline; a pure function, threads may share it.

    It holds no memory of the size of the dataset: what a selection holds is kept, bounded, by the cache.

    Attributes:
        samples: Samples that an epoch visits; with `drop`, those in whole batches.
        steps_per_epoch: Batches of an epoch.
    """

    def __init__(self, dataset: Dataset, pipeline: Pipeline, selections: SelectionCache = SELECTIONS):
        """Counts the samples that pass; the first plan of a selection takes a second for 50 million.

        Raises:
            EmptySplit: No sample passes split and filter, or `drop` leaves no batch.
            InvalidPipeline: The filter names a class that the dataset does not have.
            RottenColumn: A block of a column does not match its checksum.
        """
        self._dataset = dataset
        self._pipeline = pipeline
        self._selection = Selection.of(pipeline)
        self._selections = selections
        self._passing = self._count()
        whole, rest = divmod(self._passing, pipeline.batch_size)
        drop = pipeline.remainder == "drop"
        self.steps_per_epoch = whole if drop or not rest else whole + 1
        self.samples = whole * pipeline.batch_size if drop else self._passing
        if not self.samples:
            raise EmptySplit(self._why_empty())

    def batch_rows(self, step: int) -> int:
        """Rows of a global batch: the batch size, but for a short last one.

        Args:
            step: 0 to below `steps_per_epoch`.
        """
        if self._pipeline.remainder == "pad":
            return self._pipeline.batch_size
        return min(self._pipeline.batch_size, self.samples - step * self._pipeline.batch_size)

    def rows(self, epoch: int, step: int, rows: Span) -> npt.NDArray[np.int64]:
        """The samples in rows of a global batch.

        Args:
            epoch: From 0.
            step: 0 to below `steps_per_epoch`.
            rows: Within 0 to `batch_rows(step)`.

        Returns:
            int64 `[n]`, sample indices of the dataset; -1 for padding.

        Raises:
            RottenColumn: A block of a column does not match its checksum.
            ValueError: There is no such epoch, step or row.
        """
        positions = self._positions(epoch, step, rows)
        indices = np.full(rows.size, -1, np.int64)
        indices[: len(positions)] = self._visits(epoch, positions).indices
        return indices

    def visit_numbers(self, epoch: int, step: int, rows: Span) -> npt.NDArray[np.uint64]:
        """How many times the run has come to the samples in rows before, as far as an epoch may come to one again.

        Args:
            epoch: From 0.
            step: 0 to below `steps_per_epoch`.
            rows: Within 0 to `batch_rows(step)`.

        Returns:
            uint64 `[n]`, 0 for padding, and everywhere unless classes are balanced.

        Raises:
            RottenColumn: A block of a column does not match its checksum.
            ValueError: There is no such epoch, step or row.
        """
        numbers = np.zeros(rows.size, np.uint64)
        if self._pipeline.class_balanced:
            positions = self._positions(epoch, step, rows)
            numbers[: len(positions)] = self._visits(epoch, positions).numbers
        return numbers

    def _positions(self, epoch: int, step: int, rows: Span) -> npt.NDArray[np.int64]:
        """The positions of rows in an epoch's order; padding has none."""
        if epoch < 0 or not 0 <= step < self.steps_per_epoch:
            raise ValueError(
                f"epoch must be at least 0 and step below {self.steps_per_epoch:,}, got epoch {epoch}, step {step}"
            )
        if not 0 <= rows.start <= rows.stop <= self.batch_rows(step):
            raise ValueError(f"rows must be within 0 to {self.batch_rows(step):,}, got {rows.start} to {rows.stop}")
        first = step * self._pipeline.batch_size
        return np.arange(first + rows.start, min(first + rows.stop, self.samples), dtype=np.int64)

    def _visits(self, epoch: int, positions: npt.NDArray[np.int64]) -> Visits:
        if self._pipeline.class_balanced:
            index = self._selections.get(ClassIndex, self._dataset, self._selection)
            return index.visits(positions, self._pipeline.seed, epoch)
        if self._pipeline.shuffle:
            positions = permute(positions, self._passing, self._pipeline.seed, epoch)
        if not self._selection.everything:
            positions = self._selections.get(Membership, self._dataset, self._selection).select(positions)
        return Visits(positions, np.zeros(len(positions), np.uint64))

    def _count(self) -> int:
        """How many samples pass."""
        if self._pipeline.class_balanced:
            return self._selections.get(ClassIndex, self._dataset, self._selection).count
        if self._selection.everything:
            return self._dataset.samples
        return self._selections.get(Membership, self._dataset, self._selection).count

    def _why_empty(self) -> str:
        pipeline, total = self._pipeline, self._dataset.samples
        if self._passing:
            return (
                f"remainder 'drop' leaves no batch: {self._passing:,} samples are fewer than batch_size "
                f"{pipeline.batch_size:,}; use a smaller batch_size, or remainder 'short' or 'pad'"
            )
        share = "" if pipeline.split == "all" else f" with validation={pipeline.validation:g}"
        only = "" if pipeline.filter is None else f" and {pipeline.filter}"[:_FILTER_CHARACTERS]
        return (
            f"split {pipeline.split!r}{share}{only} holds none of the {total:,} samples of dataset "
            f"{self._dataset.name!r}; use another split, share or filter"
        )


def split_samples(dataset: Dataset, validation: float, selections: SelectionCache = SELECTIONS) -> dict[str, int]:
    """Number of samples of each split, without a filter.

    Args:
        dataset: To be counted.
        validation: Share of the samples in the validation split, 0 to below 1.
        selections: What keeps the count's by-product.

    Raises:
        RottenColumn: A block of a column does not match its checksum.
    """
    held_out = selections.get(Membership, dataset, Selection("validation", validation, None)).count
    return {"train": dataset.samples - held_out, "validation": held_out, "all": dataset.samples}
