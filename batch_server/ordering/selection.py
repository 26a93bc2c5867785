"""Which samples pass: the split, by a hash of the key id, and the filter, by columns."""

import difflib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from batch_server.randomness import combine, mix64, operation
from batch_server.store.columns import Values
from batch_server.store.reader import Dataset
from inkstream.errors import InvalidPipeline, Violation
from inkstream.pipeline import Filter, Pipeline

_SPLIT = operation("split")
# An error of many wrong names must stay under gRPC's limit for details.
_NAMES_IN_AN_ERROR = 5


class Selection(NamedTuple):
    """Which samples of a dataset a pipeline visits; equal selections of one dataset hold equal samples.

    Args:
        split: `train`, `validation` or `all`.
        validation: Share of the samples in the validation split, 0 to below 1; 0 for `all`.
        filter: Which samples of the split pass; None all.
    """

    split: str
    validation: float
    filter: Filter | None

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Selection":
        """What a pipeline selects; training without a validation share is the same as `all`."""
        if pipeline.split == "all" or (pipeline.split == "train" and pipeline.validation == 0):
            return cls("all", 0.0, pipeline.filter)
        return cls(pipeline.split, pipeline.validation, pipeline.filter)

    @property
    def everything(self) -> bool:
        """Whether every sample passes without looking at it."""
        return self.split == "all" and self.filter is None


class Selector:
    """Applies a selection to a dataset, block by block."""

    def __init__(self, dataset: Dataset, selection: Selection):
        """Looks up the filter's names.

        Raises:
            InvalidPipeline: The filter names a class that the dataset does not have.
        """
        self._split = selection.split
        # A share is a float below 1, so this is exact and fits.
        self._limit = np.uint64(int(selection.validation * 2**64))
        self._tables = _tables(dataset, selection.filter)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that must be looked at."""
        key_id = () if self._split == "all" else ("key_id",)
        return (*key_id, *self._tables)

    def passing(self, values: dict[str, Values]) -> npt.NDArray[np.bool_]:
        """Which samples pass, bool `[n]`.

        Args:
            values: For each of `columns` its values `[n]`.
        """
        passes = np.ones(len(next(iter(values.values()))), np.bool_)
        if self._split != "all":
            _keep_split(passes, values["key_id"], self._limit, self._split == "validation")
        for name, table in self._tables.items():
            _keep_listed(passes, values[name], table)
        return passes


def _tables(dataset: Dataset, only: Filter | None) -> dict[str, npt.NDArray[np.bool_]]:
    """For each column that is filtered: whether a value passes, by value; an unknown one never does."""
    tables = {}
    if only is not None and only.classes is not None:
        # One more than classes: the label -1, unlabelled, is the last element.
        tables["label"] = np.zeros(len(dataset.classes) + 1, np.bool_)
        tables["label"][_labels(dataset, only.classes)] = True
    if only is not None and only.countries is not None:
        tables["country"] = np.zeros(1 << 16, np.bool_)
        tables["country"][[int.from_bytes(code.encode("ascii"), "big") for code in only.countries]] = True
    if only is not None and only.recognized is not None:
        tables["recognized"] = np.zeros(1 << 8, np.bool_)
        tables["recognized"][int(only.recognized)] = True
    return tables


def _labels(dataset: Dataset, names: tuple[str, ...]) -> list[int]:
    label_of = {name: label for label, name in enumerate(dataset.classes)}
    unknown = [name for name in names if name not in label_of]
    if not dataset.classes:
        rule = f"needs labels, and dataset {dataset.name!r} has none: leave it out"
        raise InvalidPipeline([Violation("filter.classes", rule)])
    if unknown:
        raise InvalidPipeline(
            [Violation("filter.classes", _no_such_class(dataset, name)) for name in unknown[:_NAMES_IN_AN_ERROR]]
        )
    return [label_of[name] for name in names]


def _no_such_class(dataset: Dataset, name: str) -> str:
    near = difflib.get_close_matches(name[:100], dataset.classes)
    remedy = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {len(dataset.classes):,} others"
    return f"must be classes of dataset {dataset.name!r}, got {name[:100]!r}: {remedy}"


@njit(cache=True, nogil=True)
def _keep_split(passes, key_ids, limit, validation):  # type: ignore[no-untyped-def]
    """Drops what is not in the split.

    A key id is in the validation split if its hash is below the limit: so a larger share contains a smaller one's
    samples, and growing data moves none.
    """
    for i in range(len(passes)):
        if (combine(mix64(_SPLIT), key_ids[i]) < limit) != validation:
            passes[i] = False


@njit(cache=True, nogil=True)
def _keep_listed(passes, values, table):  # type: ignore[no-untyped-def]
    """Drops what the table does not list."""
    for i in range(len(passes)):
        if not table[values[i]]:
            passes[i] = False
