"""What stands where in an epoch: from (epoch, step, row) to a sample."""

import numpy as np
import numpy.typing as npt

from batch_server.ordering.cache import MEMBERSHIPS, MembershipCache
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

    It holds no memory of the size of the dataset: memberships are kept, bounded, by the cache.

    Attributes:
        samples: Samples that an epoch visits; with `drop`, those in whole batches.
        steps_per_epoch: Batches of an epoch.
    """

    def __init__(self, dataset: Dataset, pipeline: Pipeline, memberships: MembershipCache = MEMBERSHIPS):
        """Counts the samples that pass; the first plan of a selection takes a second for 50 million.

        Raises:
            EmptySplit: No sample passes split and filter, or `drop` leaves no batch.
            InvalidPipeline: The filter names a class that the dataset does not have.
            RottenColumn: A block of a column does not match its checksum.
        """
        self._dataset = dataset
        self._pipeline = pipeline
        self._selection = Selection.of(pipeline)
        self._memberships = memberships
        self._passing = (
            dataset.samples if self._selection.everything else memberships.get(dataset, self._selection).count
        )
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
        if epoch < 0 or not 0 <= step < self.steps_per_epoch:
            raise ValueError(
                f"epoch must be at least 0 and step below {self.steps_per_epoch:,}, got epoch {epoch}, step {step}"
            )
        if not 0 <= rows.start <= rows.stop <= self.batch_rows(step):
            raise ValueError(f"rows must be within 0 to {self.batch_rows(step):,}, got {rows.start} to {rows.stop}")
        first = step * self._pipeline.batch_size
        positions = np.arange(first + rows.start, min(first + rows.stop, self.samples), dtype=np.int64)
        if self._pipeline.shuffle:
            positions = permute(positions, self._passing, self._pipeline.seed, epoch)
        if not self._selection.everything:
            positions = self._memberships.get(self._dataset, self._selection).select(positions)
        indices = np.full(rows.stop - rows.start, -1, np.int64)
        indices[: len(positions)] = positions
        return indices

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


def split_samples(dataset: Dataset, validation: float, memberships: MembershipCache = MEMBERSHIPS) -> dict[str, int]:
    """Number of samples of each split, without a filter.

    Args:
        dataset: To be counted.
        validation: Share of the samples in the validation split, 0 to below 1.
        memberships: What keeps the count's by-product.

    Raises:
        RottenColumn: A block of a column does not match its checksum.
    """
    held_out = memberships.get(dataset, Selection("validation", validation, None)).count
    return {"train": dataset.samples - held_out, "validation": held_out, "all": dataset.samples}
