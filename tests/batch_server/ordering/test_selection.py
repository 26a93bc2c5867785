from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.ordering.membership import Membership
from batch_server.ordering.selection import Selection
from batch_server.store.reader import Dataset
from inkstream.errors import InvalidPipeline
from inkstream.pipeline import Filter, Pipeline

SHARES = st.floats(0, 1, exclude_max=True)


def members(dataset: Dataset, selection: Selection) -> np.ndarray[Any, np.dtype[np.int64]]:
    membership = Membership.build(dataset, selection)
    return membership.select(np.arange(membership.count))


def validation(dataset: Dataset, share: float) -> set[int]:
    return set(members(dataset, Selection("validation", share, None)).tolist())


@settings(deadline=None, max_examples=30)
@given(share=SHARES)
def test_train_and_validation_part_the_samples(share: float, large: Dataset) -> None:
    both = [members(large, Selection(split, share, None)) for split in ("train", "validation")]
    assert np.array_equal(np.sort(np.concatenate(both)), np.arange(large.samples))
    assert abs(len(both[1]) - share * large.samples) <= 6 * (large.samples * share * (1 - share)) ** 0.5 + 1


@settings(deadline=None, max_examples=30)
@given(shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_contains_a_smaller_one(shares: tuple[float, float], large: Dataset) -> None:
    assert validation(large, min(shares)) <= validation(large, max(shares))


def test_membership_is_stable_when_data_grows(dataset_of: Callable[..., Dataset]) -> None:
    rng = np.random.default_rng(8)
    old = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    grown = rng.permutation(np.concatenate((old, rng.integers(0, 2**64, 4000, dtype=np.uint64))))
    held_out = {int(old[i]) for i in validation(dataset_of(old), 0.1)}
    held_out_now = {int(grown[i]) for i in validation(dataset_of(grown), 0.1)}
    assert 200 < len(held_out) < 400
    assert held_out_now & set(old.tolist()) == held_out


def test_consecutive_key_ids_are_split_evenly(dataset_of: Callable[..., Dataset]) -> None:
    held_out = np.array(sorted(validation(dataset_of(np.arange(20_000, dtype=np.uint64)), 0.25)))
    assert abs(len(held_out) - 5000) < 300
    assert abs((held_out % 2 == 0).sum() - 2500) < 250


def test_the_split_stays_what_it_is(dataset_of: Callable[..., Dataset]) -> None:
    """Samples that were held out when a model was trained must be held out for ever."""
    dataset = dataset_of(np.arange(1000, dtype=np.uint64))
    assert sorted(validation(dataset, 0.01)) == [5, 111, 140, 248, 292, 596, 836]


@settings(deadline=None, max_examples=40)
@given(
    split=st.sampled_from(["train", "validation", "all"]),
    share=st.sampled_from([0.0, 0.005, 0.3]),
    classes=st.none() | st.lists(st.sampled_from(["apple", "car", "cat", "power outlet"]), min_size=1),
    countries=st.none() | st.lists(st.sampled_from(["DE", "US", "FR"]), min_size=1),
    recognized=st.none() | st.booleans(),
)
def test_filters_as_brute_force_does(
    split: str, share: float, classes: Any, countries: Any, recognized: bool | None, large: Dataset
) -> None:
    only = Filter(classes=classes, countries=countries, recognized=recognized)
    pipeline = Pipeline(dataset="columns", batch_size=1, split=split, validation=share, filter=only)
    selection = Selection.of(pipeline)
    column = {name: np.concatenate(list(large.blocks(name))).tolist() for name in ("label", "country", "recognized")}
    held_out = validation(large, share)
    labels = None if classes is None else {large.classes.index(name) for name in classes}
    codes = None if countries is None else {ord(code[0]) << 8 | ord(code[1]) for code in countries}
    expected = [
        i
        for i in range(large.samples)
        if (split == "all" or (i in held_out) == (split == "validation"))
        and (labels is None or column["label"][i] in labels)
        and (codes is None or column["country"][i] in codes)
        and (recognized is None or column["recognized"][i] == int(recognized))
    ]
    if selection.everything:
        assert expected == list(range(large.samples))
    else:
        assert members(large, selection).tolist() == expected


@settings(deadline=None)
@given(words=st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**64 - 1]), max_size=40))
def test_select_finds_each_member(words: list[int]) -> None:
    padded = np.array(words + [0] * (-len(words) % 16), np.uint64)
    expected = [64 * i + bit for i, word in enumerate(words) for bit in range(64) if word >> bit & 1]
    membership = Membership(padded)
    assert membership.count == len(expected)
    assert membership.select(np.arange(len(expected))).tolist() == expected


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("cta", "did you mean 'cat' or 'car'?"), ("power_outlet", "'power outlet'"), ("zebra", "it has 4 others")],
)
def test_unknown_classes_are_refused_by_name(name: str, remedy: str, large: Dataset) -> None:
    with pytest.raises(InvalidPipeline) as caught:
        Membership.build(large, Selection("all", 0.0, Filter(classes=("cat", name))))
    (violation,) = caught.value.violations
    assert violation.field == "filter.classes"
    assert repr(name) in violation.rule
    assert remedy in violation.rule


def test_an_error_of_many_names_stays_short(large: Dataset) -> None:
    names = tuple(f"{'x' * 5000}{i}" for i in range(9000))
    with pytest.raises(InvalidPipeline) as caught:
        Membership.build(large, Selection("all", 0.0, Filter(classes=names)))
    assert len(str(caught.value).encode()) < 3000


def test_classes_of_a_dataset_without_labels_are_refused(dataset_of: Callable[..., Dataset]) -> None:
    unlabelled = dataset_of(np.arange(10, dtype=np.uint64), classes=(), label=np.full(10, -1, np.int32))
    with pytest.raises(InvalidPipeline, match=r"filter\.classes needs labels"):
        Membership.build(unlabelled, Selection("all", 0.0, Filter(classes=("cat",))))
