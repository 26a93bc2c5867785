"""Verifying finds what is rotten, names it, and never suspects what is sound."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.store.errors import DatasetError, UnreadableDataset
from batch_server.store.reader import Dataset
from batch_server.store.schema import seal
from batch_server.store.verification import MOST_LISTED, RottenBlock, RottenRecord, Verification, verify

SAMPLES = 2311


@pytest.fixture(scope="module")
def some(drawings: Callable[..., Any]) -> Any:
    return drawings(SAMPLES)


@pytest.fixture(scope="module")
def path(some: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("verification") / "some.lmdb"
    some.write(path, rejects=[{"line": 1}])
    return path


@pytest.fixture
def damaged(path: Path, tmp_path: Path) -> Callable[[dict[int, bytes]], Path]:
    """A copy in which bytes were overwritten: `damaged({position: new})`."""

    def write(changes: dict[int, bytes]) -> Path:
        data = bytearray(path.read_bytes())
        for start, new in changes.items():
            data[start : start + len(new)] = new
        (tmp_path / "damaged.lmdb").write_bytes(data)
        return tmp_path / "damaged.lmdb"

    return write


def verified(path: Path) -> Verification:
    return verify(path, lambda done, total: None)


def place(path: Path, name: str, number: int = 0) -> tuple[int, int]:
    """Where a value begins in the file and how long it is."""
    start, length = Dataset.open(path).places[name][number]
    return int(start), int(length)


@settings(max_examples=15)
@given(samples=st.integers(1, 3000), seed=st.integers(0, 2**32 - 1))
def test_a_sound_dataset_is_never_suspected(
    samples: int, seed: int, drawings: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("sound") / "some.lmdb"
    fingerprint = drawings(samples, seed).write(path)
    found = verified(path)
    assert found.sound
    assert found.fingerprint == fingerprint


def test_progress_ends_with_all_that_is_read(path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = verify(path, lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (found.read_bytes, found.read_bytes)
    assert found.read_bytes == sum(of_name[:, 1].sum() for of_name in Dataset.open(path).places.values())


@settings(max_examples=200)
@given(data=st.data())
def test_flipped_bytes_are_found_or_never_read(
    data: st.DataObject,
    path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    read_everything: Callable[[Dataset], dict[str, Any]],
) -> None:
    whole = bytearray(path.read_bytes())
    expected = read_everything(Dataset.open(path))
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        whole[position] ^= data.draw(st.integers(1, 255))
    copy = tmp_path_factory.mktemp("flipped") / "some.lmdb"
    copy.write_bytes(whole)
    try:
        sound = verified(copy).sound
    except DatasetError:
        return
    if sound:
        assert read_everything(Dataset.open(copy)) == expected


def test_a_rotten_record_is_named_by_index_and_key_id(some: Any, path: Path, damaged: Callable[..., Path]) -> None:
    start, length = place(path, "records", 2)
    found = verified(damaged({start + length - 1: b"\xff"}))
    assert found.records.first == [RottenRecord(SAMPLES - 1, int(some.columns["key_id"][-1]))]
    assert (found.records.count, found.columns.count) == (1, 0)
    assert found.fingerprint != Dataset.open(path).fingerprint
    assert found.structure.first == [
        f"the manifest has fingerprint {Dataset.open(path).fingerprint}, what is in the file {found.fingerprint}"
    ]


def test_rotten_columns_are_named_and_key_ids_unknown(path: Path, damaged: Callable[..., Path]) -> None:
    key_ids, _ = place(path, "key_id")
    labels, _ = place(path, "label")
    start, length = place(path, "records", 2)
    found = verified(damaged({labels + 9: b"\xff", key_ids + 9: b"\xff\xff\xff", start + length - 1: b"\xff"}))
    assert found.columns.first == [RottenBlock("label", 0), RottenBlock("key_id", 0)]
    assert found.records.first == [RottenRecord(SAMPLES - 1, None)]


def test_a_rotten_list_is_a_fault(path: Path, damaged: Callable[..., Path]) -> None:
    start, length = place(path, "rejects")
    found = verified(damaged({start + length - 1: b"\xff"}))
    assert found.structure.first == ["the list of rejects, part 0, does not match its checksum"]


def test_the_first_thousand_are_listed_and_all_are_counted(path: Path, damaged: Callable[..., Path]) -> None:
    found = verified(damaged({start: bytes(length) for start, length in (place(path, "records", n) for n in range(3))}))
    assert found.records.count == SAMPLES
    assert [record.sample for record in found.records.first] == list(range(MOST_LISTED))


def test_another_sound_value_in_the_place_of_one_changes_the_fingerprint(
    path: Path, damaged: Callable[..., Path]
) -> None:
    start, length = place(path, "timestamp")
    found = verified(damaged({start: seal(bytes(length - 8))}))
    assert (found.records.count, found.columns.count, found.structure.count) == (0, 0, 1)
    assert "fingerprint" in found.structure.first[0]


def test_a_file_that_is_too_long_is_a_fault(path: Path, damaged: Callable[..., Path]) -> None:
    size_bytes = path.stat().st_size
    found = verified(damaged({size_bytes: b"more"}))
    assert found.structure.first == [f"the file has {size_bytes + 4:,} bytes, the dataset in it {size_bytes:,}"]


def test_what_the_disk_cannot_read_is_a_finding(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, length = place(path, "records", 1)
    bad, read = range(start + length - 512, start + length), os.pread

    def pread(file: int, length: int, start: int) -> bytes:
        if start in bad:
            raise OSError(errno.EIO, "Input/output error")
        return read(file, min(length, bad.start - start) if start < bad.start else length, start)

    monkeypatch.setattr(os, "pread", pread)
    found = verified(path)
    assert found.structure.first[0] == f"the disk cannot read byte {bad.start:,}"
    assert found.columns.count == 0
    rotten = [record.sample for record in found.records.first]
    assert rotten == [*range(rotten[0], 2048)] and 1024 < rotten[0] < 2047


def test_a_file_cut_short_while_it_is_read_is_rotten(path: Path, damaged: Callable[..., Path]) -> None:
    copy, (start, _) = damaged({}), place(path, "records", 1)

    def cut(done: int, total: int) -> None:
        os.truncate(copy, start)

    found = verify(copy, cut)
    assert {*range(1024, SAMPLES)} - {record.sample for record in found.records.first} <= {*range(2024, SAMPLES)}
    assert any(fault.startswith(f"the file has {start:,} bytes") for fault in found.structure.first)


@pytest.mark.parametrize("words", [{0: 1 << 40}, {0: -1}, {1: -1}, {6: 0, 7: 8}, {7: 9}])
def test_an_index_that_does_not_fit_is_refused(path: Path, damaged: Callable[..., Path], words: dict[int, int]) -> None:
    """Kernels trust it: no value may lie outside the file, no sample may have none."""
    dataset = Dataset.open(path)
    index = np.concatenate(list(dataset.places.values())).astype("<i8")
    start = path.read_bytes().index(seal(index.tobytes()))
    for number, value in words.items():
        index.reshape(-1)[number] = value
    with pytest.raises(UnreadableDataset, match="index that does not fit its manifest"):
        verified(damaged({start: seal(index.tobytes())}))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDataset, match="does not exist"):
        verified(tmp_path / "absent.lmdb")
    with pytest.raises(UnreadableDataset, match="is a folder"):
        verified(tmp_path)
