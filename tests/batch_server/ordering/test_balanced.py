"""Class-balanced drawing: all classes equally often, each walked through by permutations one after another."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.ordering import EpochPlan
from batch_server.ordering.balanced import ClassIndex
from batch_server.ordering.selection import Selection
from batch_server.store.columns import BLOCK_VALUES
from batch_server.store.reader import Dataset
from inkstream.chunking import Span
from inkstream.errors import EmptySplit, InvalidPipeline
from inkstream.pipeline import Filter, Pipeline

SIZES = (40, 400, 0, 7)  # of the classes; the rest has no label
SAMPLES = 500


@pytest.fixture(scope="module")
def dataset(dataset_of: Callable[..., Dataset]) -> Dataset:
    rng = np.random.default_rng(3)
    labels = np.full(SAMPLES, -1, np.int32)
    labels[: sum(SIZES)] = np.repeat(np.arange(len(SIZES)), SIZES)
    return dataset_of(rng.integers(0, 2**64, SAMPLES, dtype=np.uint64), label=rng.permutation(labels))


def plan(dataset: Dataset, **settings: Any) -> EpochPlan:
    chosen: dict[str, Any] = {"batch_size": 64, "split": "all", "class_balanced": True} | settings
    return EpochPlan(dataset, Pipeline(dataset="columns", **chosen))


def epoch(planned: EpochPlan, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample indices and visit numbers."""
    spans = [(step, Span(0, planned.batch_rows(step))) for step in range(planned.steps_per_epoch)]
    indices = np.concatenate([planned.rows(number, *span) for span in spans])
    return indices, np.concatenate([planned.visit_numbers(number, *span) for span in spans])


@settings(deadline=None, max_examples=40)
@given(
    batch_size=st.integers(1, 600),
    split=st.sampled_from(["train", "validation", "all"]),
    only=st.sampled_from([None, Filter(classes=("apple", "car")), Filter(countries=("DE",))]),
    seed=st.integers(0, 2**64 - 1),
    number=st.integers(0, 2**40),
)
def test_every_turn_has_every_class_once(
    batch_size: int, split: str, only: Filter | None, seed: int, number: int, dataset: Dataset
) -> None:
    settings = {"batch_size": batch_size, "split": split, "validation": 0.3, "filter": only, "seed": seed}
    order, _ = epoch(plan(dataset, **settings), number)
    plain, _ = epoch(plan(dataset, **settings, class_balanced=False), number)
    labelled = plain[dataset.take("label", plain) >= 0]
    classes = set(dataset.take("label", labelled).tolist())
    assert len(order) == len(labelled)
    assert set(order.tolist()) <= set(labelled.tolist())
    labels = dataset.take("label", order).tolist()
    for start in range(0, len(labels), len(classes)):
        turn = labels[start : start + len(classes)]
        assert len(set(turn)) == len(turn)
        assert set(turn) == classes or start + len(classes) > len(labels)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_a_class_is_walked_through_before_it_begins_anew(seed: int, dataset: Dataset) -> None:
    planned = plan(dataset, seed=seed)
    epochs = [epoch(planned, number) for number in range(6)]
    assert planned.samples % 3 == 0  # so that no turn lacks a class, and no visit is left out
    pairs = Counter((index, visit) for order, numbers in epochs for index, visit in zip(order, numbers, strict=True))
    assert set(pairs.values()) == {1}
    for label, size in enumerate(SIZES):
        walks: dict[int, set[int]] = {}
        for index, visit in pairs:
            if dataset.take("label", np.array([index]))[0] == label:
                walks.setdefault(int(visit), set()).add(int(index))
        assert sorted(walks) == list(range(len(walks)))
        assert all(len(walk) == size for visit, walk in walks.items() if visit < len(walks) - 1)


def test_orders_differ_by_epoch_and_seed(dataset: Dataset) -> None:
    orders = {tuple(epoch(plan(dataset, seed=seed), number)[0]) for seed in range(3) for number in range(3)}
    assert len(orders) == 9


def test_batch_size_does_not_change_the_order(dataset: Dataset) -> None:
    first = epoch(plan(dataset, batch_size=1), 4)
    for size in (7, 500):
        assert all(map(np.array_equal, epoch(plan(dataset, batch_size=size), 4), first))


def test_padding_has_no_sample_and_no_visit(dataset: Dataset) -> None:
    planned = plan(dataset, remainder="pad", batch_size=1000)
    order, numbers = epoch(planned, 3)
    assert (order[planned.samples :] == -1).all()
    assert (numbers[planned.samples :] == 0).all()


def test_without_labels_it_is_refused(dataset_of: Callable[..., Dataset], dataset: Dataset) -> None:
    unlabelled = dataset_of(np.arange(9, dtype=np.uint64), classes=(), label=np.full(9, -1, np.int32))
    with pytest.raises(InvalidPipeline, match="needs labels"):
        plan(unlabelled)
    with pytest.raises(EmptySplit):
        plan(dataset, filter=Filter(classes=("cat",)))  # the class without samples


def test_takes_four_bytes_for_a_sample(large: Dataset) -> None:
    index = ClassIndex.build(large, Selection("all", 0.0, None))
    labels = np.concatenate(list(large.blocks("label")))
    assert large.samples > 2 * BLOCK_VALUES
    assert index.count == (labels >= 0).sum()
    assert index.size_bytes < 4 * index.count + 100
