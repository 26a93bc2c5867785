from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.ordering import EpochPlan, split_samples
from batch_server.store.reader import Dataset
from inkstream.chunking import Span, shard_rows
from inkstream.errors import EmptySplit
from inkstream.pipeline import Filter, Pipeline

SAMPLES = 1009
FILTER = Filter(classes=("car", "cat"))


@pytest.fixture(scope="module")
def dataset(dataset_of: Callable[..., Dataset]) -> Dataset:
    return dataset_of(np.random.default_rng(2).integers(0, 2**64, SAMPLES, dtype=np.uint64))


def plan(dataset: Dataset, **settings: Any) -> EpochPlan:
    return EpochPlan(dataset, Pipeline(dataset="columns", **{"batch_size": 64, "validation": 0.2} | settings))


def batch(planned: EpochPlan, epoch: int, step: int) -> Any:
    return planned.rows(epoch, step, Span(0, planned.batch_rows(step)))


def epoch(planned: EpochPlan, number: int) -> Any:
    return np.concatenate([batch(planned, number, step) for step in range(planned.steps_per_epoch)])


@settings(deadline=None, max_examples=60)
@given(
    batch_size=st.integers(1, 1200),
    split=st.sampled_from(["train", "validation", "all"]),
    only=st.sampled_from([None, FILTER]),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
    number=st.integers(0, 2**40),
)
def test_an_epoch_visits_every_sample_once(
    batch_size: int, split: str, only: Filter | None, shuffle: bool, seed: int, number: int, dataset: Dataset
) -> None:
    planned = plan(dataset, batch_size=batch_size, split=split, filter=only, shuffle=shuffle, seed=seed)
    order = epoch(planned, number)
    assert len(order) == len(np.unique(order)) == planned.samples
    labels = dataset.take("label", order)
    if only is not None:
        assert set(labels.tolist()) <= {1, 2}
    if split == "all":
        column = next(dataset.blocks("label"))
        assert planned.samples == (SAMPLES if only is None else int(np.isin(column, (1, 2)).sum()))
    if not shuffle:
        assert np.array_equal(order, np.sort(order))


@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    batch_size=st.integers(1, 300),
    shards=st.integers(1, 7),
    remainder=st.sampled_from(["short", "pad", "drop"]),
)
def test_shards_are_slices_of_the_global_batch(
    data: st.DataObject, batch_size: int, shards: int, remainder: str, dataset: Dataset
) -> None:
    planned = plan(dataset, batch_size=batch_size, remainder=remainder)
    step = data.draw(st.integers(0, planned.steps_per_epoch - 1))
    rows = planned.batch_rows(step)
    parts = [planned.rows(3, step, shard_rows(rows, index, shards)) for index in range(shards)]
    assert np.array_equal(np.concatenate(parts), batch(planned, 3, step))


def test_batch_size_does_not_change_the_order(dataset: Dataset) -> None:
    orders = [epoch(plan(dataset, batch_size=size, filter=FILTER), 5) for size in (1, 7, 64, 1000)]
    assert all(np.array_equal(order, orders[0]) for order in orders)


def test_epochs_and_seeds_differ_and_do_not_add(dataset: Dataset) -> None:
    orders = {(s, e): tuple(epoch(plan(dataset, seed=s), e)) for s in range(3) for e in range(3)}
    assert len(set(orders.values())) == 9
    assert len({tuple(sorted(order)) for order in orders.values()}) == 1


@pytest.mark.parametrize(
    ("remainder", "steps", "samples", "last"), [("short", 16, 1009, 49), ("pad", 16, 1009, 64), ("drop", 15, 960, 64)]
)
def test_remainders(remainder: str, steps: int, samples: int, last: int, dataset: Dataset) -> None:
    planned = plan(dataset, split="all", remainder=remainder)
    assert (planned.steps_per_epoch, planned.samples, planned.batch_rows(steps - 1)) == (steps, samples, last)
    order = epoch(planned, 0)
    assert (order >= 0).sum() == len(np.unique(order[order >= 0])) == samples
    assert np.array_equal(order < 0, np.arange(len(order)) >= samples)  # padding comes last
    assert planned.rows(0, 0, Span(5, 5)).shape == (0,)


def test_drop_leaves_out_other_samples_in_each_epoch(dataset: Dataset) -> None:
    planned = plan(dataset, split="all", remainder="drop")
    seen = set().union(*(epoch(planned, number).tolist() for number in range(4)))
    assert len(seen) == SAMPLES


def test_whole_batches_leave_no_remainder(dataset_of: Callable[..., Dataset]) -> None:
    dataset = dataset_of(np.arange(128, dtype=np.uint64))
    for remainder in ("short", "pad", "drop"):
        planned = plan(dataset, split="all", remainder=remainder)
        assert (planned.steps_per_epoch, planned.samples, planned.batch_rows(1)) == (2, 128, 64)


def test_refuses_positions_that_do_not_exist(dataset: Dataset) -> None:
    planned = plan(dataset, split="all")
    for number, step, rows in (
        (-1, 0, Span(0, 1)),
        (0, -1, Span(0, 1)),
        (0, 16, Span(0, 1)),
        (0, 15, Span(0, 50)),
        (0, 0, Span(-1, 1)),
        (0, 0, Span(2, 1)),
        (0, 0, Span(0, 65)),
    ):
        with pytest.raises(ValueError, match="must be"):
            planned.rows(number, step, rows)


def test_empty_splits_are_refused_with_the_counts(dataset: Dataset) -> None:
    with pytest.raises(EmptySplit, match=r"'validation' with validation=0 holds none of the 1,009 samples"):
        plan(dataset, split="validation", validation=0.0)
    with pytest.raises(EmptySplit, match=r"countries=\('ZZ',\).* holds none of the 1,009 samples"):
        plan(dataset, filter=Filter(countries=("ZZ",)))
    with pytest.raises(EmptySplit, match="1,009 samples are fewer than batch_size 2,000"):
        plan(dataset, split="all", batch_size=2000, remainder="drop")


def test_counts_of_splits(dataset: Dataset) -> None:
    counts = split_samples(dataset, 0.2)
    assert counts["all"] == counts["train"] + counts["validation"] == SAMPLES
    for split, samples in counts.items():
        assert plan(dataset, split=split).samples == samples
    assert split_samples(dataset, 0.0) == {"train": SAMPLES, "validation": 0, "all": SAMPLES}
