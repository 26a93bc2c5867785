import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch_server.ordering.balanced import ClassIndex
from batch_server.ordering.cache import SelectionCache
from batch_server.ordering.membership import Membership
from batch_server.ordering.selection import Selection
from batch_server.store.errors import RottenColumn
from batch_server.store.reader import Dataset
from inkstream.errors import InvalidPipeline
from inkstream.pipeline import Filter

WAIT_S = 30


def selection(number: int) -> Selection:
    return Selection("validation", number / 100, None)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[Selection]:
    """What was built, in order."""
    built: list[Selection] = []
    build = Membership.build

    def counted(dataset: Dataset, chosen: Selection) -> Membership:
        built.append(chosen)
        return build(dataset, chosen)

    monkeypatch.setattr(Membership, "build", counted)
    return built


def test_keeps_what_was_used_last_within_its_bytes(large: Dataset, builds: list[Selection]) -> None:
    one = Membership.build(large, selection(1)).size_bytes
    builds.clear()
    cache = SelectionCache(3 * one)
    for number in (1, 2, 3, 1, 4, 1, 3, 2):
        assert cache.get(Membership, large, selection(number)).count > 0
        assert cache.size_bytes <= 3 * one
    assert builds == [selection(number) for number in (1, 2, 3, 4, 2)]


def test_keeps_the_latest_even_if_it_is_too_large(large: Dataset, builds: list[Selection]) -> None:
    cache = SelectionCache(1)
    for number in (1, 1, 2, 2, 1):
        cache.get(Membership, large, selection(number))
    assert builds == [selection(number) for number in (1, 2, 1)]


def test_one_that_is_too_large_and_those_that_fit_leave_each_other_alone(large: Dataset) -> None:
    everything, most = Selection("all", 0.0, None), Selection("train", 0.01, None)
    cache = SelectionCache(2 * Membership.build(large, most).size_bytes)
    index, member = cache.get(ClassIndex, large, everything), cache.get(Membership, large, most)
    assert index.size_bytes > 2 * member.size_bytes
    assert cache.get(ClassIndex, large, everything) is index
    assert cache.get(Membership, large, most) is member
    cache.get(ClassIndex, large, most)  # of two that are too large the latest stays
    assert cache.get(Membership, large, most) is member
    assert cache.get(ClassIndex, large, everything) is not index


def test_datasets_do_not_share(dataset_of: Callable[..., Dataset]) -> None:
    cache = SelectionCache(1 << 20)
    counts = [
        cache.get(Membership, dataset_of(np.arange(n, dtype=np.uint64)), Selection("train", 0.5, None)).count
        for n in (9, 90)
    ]
    assert counts[0] <= 9 < counts[1]


def test_threads_build_once(large: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SelectionCache(1 << 20)
    started, go_on = threading.Event(), threading.Event()
    build = Membership.build
    built: list[int] = []

    def slow(dataset: Dataset, chosen: Selection) -> Membership:
        built.append(1)
        started.set()
        assert go_on.wait(WAIT_S)
        return build(dataset, chosen)

    monkeypatch.setattr(Membership, "build", slow)
    got: list[Any] = []
    threads = [
        threading.Thread(target=lambda: got.append(cache.get(Membership, large, selection(5)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert started.wait(WAIT_S)
    go_on.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(built) == 1
    assert len(got) == 8
    assert len({id(membership) for membership in got}) == 1


def test_a_failure_is_not_kept(large: Dataset) -> None:
    cache = SelectionCache(1 << 20)
    for _ in range(2):
        with pytest.raises(InvalidPipeline):
            cache.get(Membership, large, Selection("all", 0.0, Filter(classes=("dog",))))
    assert cache.get(Membership, large, selection(1)).count > 0


def test_a_rotten_column_shifts_no_epoch(dataset_of: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = dataset_of(np.arange(100, dtype=np.uint64))
    start, _ = dataset.places["key_id"][0]
    with open(dataset.path, "r+b") as file:
        file.seek(int(start) + 100)
        file.write(b"\xff")
    with pytest.raises(RottenColumn, match="key_id, block 0"):
        SelectionCache(1 << 20).get(Membership, Dataset.open(dataset.path), selection(50))


def test_a_rotten_copy_of_a_cached_dataset_gives_what_the_sound_one_gave(
    dataset_of: Callable[..., Dataset], tmp_path: Path
) -> None:
    """A membership is a function of the fingerprint: the copy's key ids are not needed, and not believed either."""
    cache = SelectionCache(1 << 20)
    sound = dataset_of(np.arange(100, dtype=np.uint64))
    expected = cache.get(Membership, sound, selection(50))
    copy = bytearray(sound.path.read_bytes())
    copy[int(sound.places["key_id"][0, 0]) + 100] ^= 0xFF
    (tmp_path / "copy.lmdb").write_bytes(copy)
    rotten = Dataset.open(tmp_path / "copy.lmdb")
    assert cache.get(Membership, rotten, selection(50)) is expected
    with pytest.raises(RottenColumn, match="key_id, block 0"):
        rotten.take("key_id", expected.select(np.arange(expected.count)))
