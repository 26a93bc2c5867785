import copy
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_server.drawing.record import pack
from batch_server.store.columns import BLOCK_VALUES
from batch_server.store.errors import UnreadableDataset
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter

SAMPLES = 2311


@pytest.fixture(scope="module")
def some(drawings: Callable[..., Any]) -> Any:
    return drawings(SAMPLES)


@pytest.fixture(scope="module")
def dataset(some: Any, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("store") / "some.lmdb"
    some.write(path, manifest_extra={"sources": ["a.ndjson"]})
    return Dataset.open(path)


@pytest.mark.parametrize("samples", [1, 2, 1023, 1024, 1025, 2048])
def test_reads_what_was_written(
    samples: int, drawings: Callable[..., Any], read_everything: Callable[..., Any], tmp_path: Path
) -> None:
    written = drawings(samples)
    lists = {name: [{"file": f"{name}.csv", "line": 1}] for name in ("rejects", "duplicates", "log")}
    fingerprint = written.write(tmp_path / "a.b.lmdb", manifest_extra={"sources": ["é"]}, **lists)
    dataset = Dataset.open(tmp_path / "a.b.lmdb")
    read = read_everything(dataset)
    assert read["records"] == written.records
    assert not any(read["rotten"])
    assert read["columns"] == {name: values.tolist() for name, values in written.columns.items()}
    assert read["lists"] == lists
    assert (dataset.name, dataset.kind, dataset.samples) == ("a.b", "drawing", samples)
    assert (dataset.classes, dataset.fingerprint) == (written.classes, fingerprint)
    counts = [int((written.columns["label"] == label).sum()) for label in range(-1, 3)]
    assert [dataset.manifest.unlabelled, *dataset.class_counts] == counts
    assert (dataset.manifest.rejected, dataset.manifest.duplicates) == (1, 1)
    assert dataset.manifest.extra == {"sources": ["é"]}


@settings(deadline=None)
@given(indices=st.lists(st.integers(-1, SAMPLES - 1), max_size=80))
def test_reads_any_samples_in_any_order(indices: list[int], some: Any, dataset: Dataset) -> None:
    wanted = np.array(indices, np.int64)
    records = dataset.records(wanted)
    assert [records[i] for i in range(len(records))] == [b"" if i < 0 else some.records[i] for i in indices]
    assert not records.rotten.any()
    padding = {"label": -1, "key_id": 0, "country": 0, "recognized": 2, "timestamp": 0}
    for name, values in some.columns.items():
        taken = dataset.take(name, wanted)
        assert taken.dtype == values.dtype
        assert taken.tolist() == [padding[name] if i < 0 else values[i].item() for i in indices]


def test_columns_of_several_blocks(tmp_path: Path) -> None:
    n = 2 * BLOCK_VALUES + 1
    rng = np.random.default_rng(3)
    key_ids = rng.integers(0, 2**64, n, dtype=np.uint64)
    dot = Records.of([pack([([1], [2])])])
    repeated = Records(np.tile(dot.data, n), np.arange(n + 1) * len(dot.data), np.zeros(n, np.bool_))
    columns = {
        "label": np.full(n, -1, np.int32),
        "key_id": key_ids,
        "country": np.zeros(n, np.uint16),
        "recognized": np.full(n, 2, np.uint8),
        "timestamp": np.zeros(n, np.uint32),
    }
    with DatasetWriter(tmp_path / "test.lmdb", "drawing", []) as writer:
        writer.append(repeated, columns)
        writer.finish({})
    dataset = Dataset.open(tmp_path / "test.lmdb")
    assert (dataset.classes, dataset.class_counts, dataset.manifest.unlabelled) == ((), (), n)
    assert [len(block) for block in dataset.blocks("key_id")] == [BLOCK_VALUES, BLOCK_VALUES, 1]
    assert np.array_equal(np.concatenate(list(dataset.blocks("key_id"))), key_ids)
    some = np.array([0, n - 1, BLOCK_VALUES, BLOCK_VALUES - 1])
    assert np.array_equal(dataset.take("key_id", some), key_ids[some])
    assert set(np.concatenate(list(dataset.blocks("label")))) == {-1}


def test_as_many_classes_as_there_are_words(drawings: Callable[..., Any], tmp_path: Path) -> None:
    written = drawings(300, classes=tuple(f"{i:06}" for i in range(70_000)))
    written.columns["label"][:2] = (69_999, -1)
    written.write(tmp_path / "a.lmdb")
    dataset = Dataset.open(tmp_path / "a.lmdb")
    assert dataset.take("label", np.arange(300)).tolist() == written.columns["label"].tolist()
    assert dataset.class_counts[69_999] >= 1


@settings(deadline=None, max_examples=15)
@given(batch=st.integers(1, SAMPLES))
def test_file_and_fingerprint_do_not_depend_on_batches(
    batch: int, some: Any, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("batches") / "other name"
    assert some.write(path, batch, manifest_extra={"at": "another place"}) == dataset.fingerprint
    other = Dataset.open(path)
    every = np.arange(SAMPLES)
    assert other.records(every).data.tobytes() == dataset.records(every).data.tobytes()


def test_fingerprint_covers_every_record_and_column(some: Any, dataset: Dataset, tmp_path: Path) -> None:
    def fingerprint(change: Callable[[Any], None]) -> str:
        changed = copy.deepcopy(some)
        change(changed)
        return str(changed.write(tmp_path / "changed"))

    def swap(changed: Any) -> None:
        changed.records[1:3] = changed.records[2:0:-1]

    def rename(changed: Any) -> None:
        changed.classes = tuple(sorted((*changed.classes[1:], "dog")))

    def more(changed: Any) -> None:
        changed.records.append(changed.records[0])
        changed.columns = {name: np.append(values, values[:1]) for name, values in changed.columns.items()}

    def other_value(name: str) -> Callable[[Any], None]:
        def change(changed: Any) -> None:
            changed.columns[name][-1] ^= 1

        return change

    some.columns["label"][-1] = 0  # flipping its last bit gives a label again
    seen = [fingerprint(lambda changed: None)]
    seen += [fingerprint(change) for change in (swap, rename, more, *map(other_value, some.columns))]
    assert len(set(seen)) == len(seen)


def test_lists_of_any_length(drawings: Callable[..., Any], tmp_path: Path) -> None:
    rejects = [{"file": "big.csv", "line": line, "reason": "a drawing has at least one stroke"} for line in range(9000)]
    fingerprint = drawings(3).write(tmp_path / "a.lmdb", rejects=iter(rejects))
    dataset = Dataset.open(tmp_path / "a.lmdb")
    assert list(dataset.entries("rejects")) == rejects
    assert dataset.manifest.rejected == len(rejects)
    assert len(list(dataset.entries("log"))) == 0
    assert drawings(3).write(tmp_path / "b.lmdb") == fingerprint


def test_file_is_as_large_as_its_pages(dataset: Dataset) -> None:
    stat = dataset.path.stat()
    assert stat.st_size == dataset.used_bytes
    assert stat.st_blocks * 512 >= stat.st_size
    content = sum(len(dataset.records(np.array([i]))[0]) + 8 + 17 for i in range(SAMPLES))
    assert stat.st_size < 1.1 * content + (128 << 10)


def test_any_lmdb_reader_finds_the_values(some: Any, dataset: Dataset, tmp_path: Path) -> None:
    shutil.copy(dataset.path, tmp_path / "copy.lmdb")
    with (
        lmdb.open(str(tmp_path / "copy.lmdb"), subdir=False, readonly=True, lock=False, max_dbs=1) as environment,
        environment.begin() as transaction,
    ):
        page = transaction.get((2).to_bytes(8, "big"), db=environment.open_db(b"records", transaction, create=False))
    assert page is not None
    count = SAMPLES - 2048
    offsets = np.frombuffer(page, "<u4", count + 1)
    start = 4 * (2 * count + 1)
    assert page[start + offsets[7] : start + offsets[8]] == some.records[2048 + 7]


def test_threads_share_a_dataset(some: Any, dataset: Dataset) -> None:
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            indices = rng.integers(0, SAMPLES, 64)
            records = dataset.records(indices)
            if [records[i] for i in range(64)] != [some.records[i] for i in indices]:
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_opens_twice_and_outlives_its_file(drawings: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "a.lmdb"
    first, second = drawings(50, seed=1), drawings(60, seed=2)
    first.write(path)
    opened, again = Dataset.open(path), Dataset.open(path)
    second.write(tmp_path / "new")
    (tmp_path / "new").rename(path)
    assert Dataset.open(path).records(np.array([59]))[0] == second.records[59]
    path.unlink()
    for old in (opened, again):
        assert old.records(np.array([49]))[0] == first.records[49]
        assert old.take("key_id", np.array([49])) == first.columns["key_id"][49]


def test_is_not_pickled(dataset: Dataset) -> None:
    with pytest.raises(TypeError, match="open its file"):
        pickle.dumps(dataset)


@pytest.mark.parametrize("indices", [[SAMPLES], [-2], [0, 1, 1 << 40]])
def test_refuses_indices_out_of_range(indices: list[int], dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="from 0 to 2,310"):
        dataset.records(np.array(indices))
    with pytest.raises(ValueError, match="from 0 to 2,310"):
        dataset.take("label", np.array(indices))


def test_refuses_unknown_columns_and_lists(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="label, key_id, country, recognized, timestamp, got 'colour'"):
        dataset.take("colour", np.array([0]))
    with pytest.raises(ValueError, match="rejects, duplicates, log, got 'label'"):
        list(dataset.entries("label"))


class TestWriter:
    @pytest.fixture
    def writer(self, tmp_path: Path) -> Any:
        with DatasetWriter(tmp_path / "a.part", "drawing", ["cat", "dog"]) as writer:
            yield writer

    def test_refuses_kinds_and_classes(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="one of drawing, got 'sound'"):
            DatasetWriter(tmp_path / "a", "sound", [])
        for classes in (["b", "a"], ["a", "a"]):
            with pytest.raises(ValueError, match="distinct and in code-point order"):
                DatasetWriter(tmp_path / "a", "drawing", classes)
        assert not (tmp_path / "a").exists()

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            (b"", "not a well-formed"),
            (b"\x01\x02abc", "not a well-formed"),
            (bytes(1 << 20) + b"x", "at most 1,048,576"),
        ],
    )
    def test_refuses_records(self, record: bytes, message: str, writer: DatasetWriter, drawings: Any) -> None:
        some = drawings(1024, classes=("cat", "dog"))
        some.records[1000] = record
        with pytest.raises(ValueError, match=f"{message}.*") as caught:
            writer.append(Records.of(some.records), some.columns)
        assert "sample 1000" in str(caught.value)

    def test_refuses_columns(self, writer: DatasetWriter, drawings: Any) -> None:
        some = drawings(5, classes=("cat", "dog"))
        records = Records.of(some.records)
        with pytest.raises(ValueError, match="columns must be label, key_id"):
            writer.append(records, {"label": some.columns["label"]})
        with pytest.raises(ValueError, match=r"key_id must be uint64 \[5\], got int64 \[5\]"):
            writer.append(records, some.columns | {"key_id": np.arange(5)})
        with pytest.raises(ValueError, match=r"country must be uint16 \[5\], got uint16 \[4\]"):
            writer.append(records, some.columns | {"country": np.zeros(4, np.uint16)})
        with pytest.raises(ValueError, match="labels must be from -1 to 1, got 0 to 2"):
            writer.append(records, some.columns | {"label": np.array([0, 1, 2, 0, 0], np.int32)})

    def test_refuses_a_dataset_without_samples(self, writer: DatasetWriter) -> None:
        with pytest.raises(ValueError, match="at least one sample"):
            writer.finish({})

    def test_what_is_unfinished_is_no_dataset(self, drawings: Any, tmp_path: Path) -> None:
        some = drawings(3000, classes=("cat", "dog"))
        path = tmp_path / "unfinished"
        with pytest.raises(KeyboardInterrupt), DatasetWriter(path, "drawing", ["cat", "dog"]) as writer:
            writer.append(Records.of(some.records), some.columns)
            raise KeyboardInterrupt
        with pytest.raises(UnreadableDataset, match="run its import to the end"):
            Dataset.open(path)
        some.write(path)
        assert Dataset.open(path).samples == 3000
