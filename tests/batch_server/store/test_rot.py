"""Damaged files: no wrong value ever comes out, nothing crashes, and the message says what is wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.store.errors import DatasetError, RottenColumn, UnreadableDataset
from batch_server.store.reader import Dataset

SAMPLES = 1084
LAST_PAGE = range(1024, SAMPLES)


@pytest.fixture(scope="module")
def some(drawings: Callable[..., Any]) -> Any:
    return drawings(SAMPLES)


@pytest.fixture(scope="module")
def path(some: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("rot") / "some.lmdb"
    some.write(path, rejects=[{"line": 1}])
    return path


def flip(path: Path, position: int, mask: int = 1) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ mask]))


def places(path: Path, name: str) -> list[tuple[int, int]]:
    """Where the values of a database are in the file and how long they are."""
    return [(int(start), int(length)) for start, length in Dataset.open(path).places[name]]


def test_every_byte_of_a_page_of_records_is_guarded(some: Any, path: Path) -> None:
    start, length = places(path, "records")[1]
    dataset = Dataset.open(path)  # sees what is written to its file later
    indices = np.array(LAST_PAGE)
    for position in range(start, start + length):
        mask = 1 << position % 8
        flip(path, position, mask)
        records = dataset.records(indices)
        flip(path, position, mask)
        assert records.rotten.any(), f"byte {position - start} of the page"
        for i, rotten in enumerate(records.rotten):
            assert records[i] == (b"" if rotten else some.records[LAST_PAGE[i]])
        assert records.rotten.sum() <= 2
    assert not dataset.records(indices).rotten.any()


def test_a_rotten_record_has_its_key_id(some: Any, path: Path) -> None:
    start, length = places(path, "records")[1]
    flip(path, start + length - 1)
    dataset = Dataset.open(path)
    indices = np.array([3, SAMPLES - 1, 5, -1])
    records = dataset.records(indices)
    flip(path, start + length - 1)
    assert records.rotten.tolist() == [False, True, False, False]
    assert dataset.take("key_id", indices)[records.rotten] == some.columns["key_id"][-1]


def test_a_record_in_the_wrong_place_is_rotten(path: Path, tmp_path: Path) -> None:
    start, _ = places(path, "records")[1]
    data = bytearray(path.read_bytes())
    offsets = np.frombuffer(data, "<u4", 3, start).copy()
    # Offset and checksum of the second record stand where those of the first belong.
    data[start : start + 8] = offsets[1:].tobytes()
    checksums = start + 4 * (len(LAST_PAGE) + 1)
    data[checksums : checksums + 4] = data[checksums + 4 : checksums + 8]
    (tmp_path / "moved.lmdb").write_bytes(data)
    assert Dataset.open(tmp_path / "moved.lmdb").records(np.array([1024])).rotten.tolist() == [True]


def test_a_malformed_record_is_rotten_even_if_its_checksum_matches(path: Path, tmp_path: Path) -> None:
    """A kernel trusts the lengths in a record."""
    start, _ = places(path, "records")[1]
    data = bytearray(path.read_bytes())
    first, second = (start + 4 * (2 * len(LAST_PAGE) + 1) + offset for offset in np.frombuffer(data, "<u4", 2, start))
    data[first] = 100  # strokes
    checksum = start + 4 * (len(LAST_PAGE) + 1)
    data[checksum : checksum + 4] = xxhash.xxh32_intdigest(data[first:second], 1024).to_bytes(4, "little")
    (tmp_path / "malformed.lmdb").write_bytes(data)
    assert Dataset.open(tmp_path / "malformed.lmdb").records(np.array([1024, 1025])).rotten.tolist() == [True, False]


def test_zeroed_pages_are_rotten(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    start, length = places(path, "records")[0]
    data[start : start + length] = bytes(length)
    (tmp_path / "zeroed.lmdb").write_bytes(data)
    dataset = Dataset.open(tmp_path / "zeroed.lmdb")
    rotten = dataset.records(np.arange(SAMPLES)).rotten
    assert rotten[:1024].all()
    assert not rotten[1024:].any()


@settings(deadline=None, max_examples=100)
@given(data=st.data(), name=st.sampled_from(["label", "key_id", "country", "recognized", "timestamp"]))
def test_every_byte_of_a_column_is_guarded(data: st.DataObject, name: str, path: Path) -> None:
    (start, length), *_ = places(path, name)
    position = start + data.draw(st.integers(0, length - 1))
    flip(path, position)
    dataset = Dataset.open(path)
    try:
        for read in (lambda: dataset.take(name, np.array([7])), lambda: list(dataset.blocks(name))):
            with pytest.raises(RottenColumn, match=f"{name}, block 0") as caught:
                read()
            assert (caught.value.column, caught.value.block) == (name, 0)
        other = "label" if name != "label" else "key_id"
        assert len(dataset.take(other, np.arange(5))) == 5
    finally:
        flip(path, position)


def test_a_rotten_list_is_told(path: Path) -> None:
    (start, length), *_ = places(path, "rejects")
    flip(path, start + length - 1)
    dataset = Dataset.open(path)
    with pytest.raises(UnreadableDataset, match="rotten list: rejects"):
        list(dataset.entries("rejects"))
    flip(path, start + length - 1)
    assert list(dataset.entries("rejects")) == [{"line": 1}]


def test_damage_between_the_values_is_found_or_harmless(
    path: Path, tmp_path: Path, read_everything: Callable[..., Any]
) -> None:
    """Bytes of LMDB's own pages, of manifest and index."""
    dataset = Dataset.open(path)
    expected = read_everything(dataset)
    data = path.read_bytes()
    outside = np.frombuffer(data, np.uint8) != 0
    for values in dataset.places.values():
        for start, length in values:
            outside[start : start + length] = False
    damaged = tmp_path / "damaged.lmdb"
    tried = np.flatnonzero(outside)[::13]
    found = 0
    for position in tried:
        copied = bytearray(data)
        copied[position] ^= 1 << position % 8
        damaged.write_bytes(copied)
        try:
            assert read_everything(Dataset.open(damaged)) == expected
        except DatasetError:
            found += 1
    assert 0 < found < len(tried)


@pytest.mark.parametrize("bit", range(32))
def test_no_flipped_bit_in_the_size_of_a_value_kills_the_process(many_values: Path, bit: int) -> None:
    """LMDB would read as much as it is told to, past the end of its map."""
    data = bytearray(many_values.read_bytes())
    big, key_bytes = (1).to_bytes(2, "little"), (5).to_bytes(2, "little")
    keys = [match.start() for match in re.finditer(re.escape(big + key_bytes + b"index"), data)]
    assert keys
    for key in keys:
        data[key - 4 + bit // 8] ^= 1 << bit % 8
    (damaged := many_values.with_name("damaged.lmdb")).write_bytes(data)
    with pytest.raises(UnreadableDataset):
        Dataset.open(damaged)


@pytest.mark.parametrize("bit", range(64))
def test_no_flipped_bit_in_the_root_of_the_tree_does(path: Path, tmp_path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    for meta in (0, 4096):
        data[meta + 128 + bit // 8] ^= 1 << bit % 8
    (tmp_path / "damaged.lmdb").write_bytes(data)
    with pytest.raises(UnreadableDataset):
        Dataset.open(tmp_path / "damaged.lmdb")


@pytest.fixture(scope="module")
def many_values(some: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose index has pages of its own."""
    path: Path = tmp_path_factory.mktemp("many") / "many.lmdb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batch_server.store.writer._LIST_VALUE_BYTES", 1)
        some.write(path, rejects=[{"line": line} for line in range(200)])
    assert len(list(Dataset.open(path).entries("rejects"))) == 200
    return path


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_truncated_file_is_refused(data: st.DataObject, path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = path.read_bytes()
    size = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, len(whole) // 4096 - 1).map(lambda n: 4096 * n))
    short = tmp_path_factory.mktemp("short") / "short.lmdb"
    short.write_bytes(whole[:size])
    with pytest.raises(UnreadableDataset) as caught:
        Dataset.open(short)
    assert str(short) in str(caught.value)
    if size >= 8192:
        assert f"{size:,} of {len(whole):,} bytes" in str(caught.value)


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "zeros").write_bytes(bytes(1 << 20))
    with lmdb.open(str(tmp_path / "other"), subdir=False, lock=False) as other, other.begin(write=True) as transaction:
        transaction.put(b"a", b"b")
    for name, message in {
        "absent": "does not exist",
        ".": "is a folder",
        "empty": "is empty",
        "text": "is no dataset",
        "zeros": "is no dataset",
        "other": "is no finished dataset",
    }.items():
        with pytest.raises(UnreadableDataset, match=message):
            Dataset.open(tmp_path / name)


def test_a_compacted_or_changed_copy_is_refused(path: Path, tmp_path: Path) -> None:
    compacted, changed = tmp_path / "compacted.lmdb", tmp_path / "changed.lmdb"
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment:
        environment.copy(str(compacted), compact=True)
        environment.copy(str(changed))
    assert Dataset.open(changed).samples == SAMPLES
    with lmdb.open(str(changed), subdir=False, lock=False) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"more", b"")
    for copied in (compacted, changed):
        with pytest.raises(UnreadableDataset, match="changed or compacted"):
            Dataset.open(copied)


def test_another_schema_is_refused(some: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_server.store.writer.SCHEMA_VERSION", 99)
    some.write(tmp_path / "newer.lmdb")
    with pytest.raises(UnreadableDataset, match="schema version 99, this program reads 1"):
        Dataset.open(tmp_path / "newer.lmdb")


def test_a_full_disk_is_told(some: Any, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal = pytest.importorskip("signal")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DatasetError, match="cannot be written"):
            some.write(tmp_path / "a.lmdb")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
