"""An import gives every good row once, in order, whoever reads it; and refuses what makes no sense."""

import json
import zipfile

import numpy as np
import pytest

from batch_server.importing import plan, reading
from batch_server.importing.errors import ImportFailed, ImportRefused
from batch_server.importing.staging import Staging
from batch_server.store.reader import Dataset

ROW = b'%d,"[[[1, 2],[3, 4]]]",cat\n'
CSV = b"key_id,drawing,word\n" + ROW


def all_of(dataset, column):
    return np.concatenate(list(dataset.blocks(column))).tolist()


def names_of(dataset):
    return [dataset.classes[label] for label in all_of(dataset, "label")]


def test_every_row_is_a_sample_a_reject_or_a_duplicate(sources, tmp_path, run_import):
    summary = run_import(sources.folder, to=tmp_path / "x.lmdb")
    dataset = Dataset.open(tmp_path / "x.lmdb")
    assert all_of(dataset, "key_id") == sources.key_ids
    assert names_of(dataset) == sources.labels
    assert dataset.classes == ("ant", "bee", "cat", "dog", "eel", "zebra")
    assert summary.fingerprint == dataset.fingerprint
    assert (summary.samples, summary.classes) == (len(sources.key_ids), 6)
    assert (summary.rejected, summary.duplicates) == (sources.rejected, sources.duplicates)
    assert (dataset.manifest.rejected, dataset.manifest.duplicates) == (sources.rejected, sources.duplicates)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.lmdb"]


def test_rejects_and_duplicates_are_listed_in_order_with_file_and_line(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(CSV % 5 + ROW % 0 + b"\n" + ROW % 6 + ROW % 5)
    (tmp_path / "b.txt").write_bytes(b"?")
    (tmp_path / "c.csv").write_bytes(CSV % 6 + b"x\n" + ROW % 7)
    summary = run_import(tmp_path, to=tmp_path / "x.lmdb")
    dataset = Dataset.open(tmp_path / "x.lmdb")
    assert list(dataset.entries("rejects")) == [
        {"file": f"{tmp_path}/a.csv", "line": 3, "reason": "a key id is a whole number in 1..2**64-1, got 0"},
        {"file": f"{tmp_path}/b.txt", "line": 0, "reason": "no known format"},
        {"file": f"{tmp_path}/c.csv", "line": 3, "reason": "a row has as many fields as the header, 3, got 1"},
    ]
    assert list(dataset.entries("duplicates")) == [
        {"key_id": 5, "file": f"{tmp_path}/a.csv", "line": 6},
        {"key_id": 6, "file": f"{tmp_path}/c.csv", "line": 2},
    ]
    assert [(entry["format"], entry["samples"]) for entry in dataset.entries("log")] == [
        ("Kaggle CSV", 2),
        (None, 0),
        ("Kaggle CSV", 1),
    ]
    assert summary.first_rejects[1:] == [
        f"{tmp_path}/b.txt: no known format",
        f"{tmp_path}/c.csv, line 3: a row has as many fields as the header, 3, got 1",
    ]


def test_parts_tasks_and_workers_leave_no_trace(sources, tmp_path, run_import, monkeypatch):
    expected = run_import(sources.folder, to=tmp_path / "x.lmdb")
    listed = {name: list(Dataset.open(tmp_path / "x.lmdb").entries(name)) for name in ("rejects", "duplicates", "log")}
    for task_bytes, part_bytes, workers in ((1 << 12, 1 << 11, 4), (1 << 14, 1 << 20, 1), (1 << 15, 1 << 10, 3)):
        monkeypatch.setattr(plan, "TASK_BYTES_MIN", task_bytes)
        monkeypatch.setattr(plan, "TASK_BYTES_MAX", task_bytes)
        monkeypatch.setattr(reading, "PART_BYTES", part_bytes)
        assert run_import(sources.folder, to=tmp_path / "y.lmdb", workers=workers, replace=True) == expected
        for name, entries in listed.items():
            assert list(Dataset.open(tmp_path / "y.lmdb").entries(name)) == entries


def test_a_class_of_duplicates_only_is_no_class(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(CSV % 5)
    (tmp_path / "b.csv").write_bytes((CSV % 5).replace(b"cat", b"dog"))
    summary = run_import(tmp_path, to=tmp_path / "x.lmdb")
    assert (summary.samples, summary.duplicates) == (1, 1)
    assert Dataset.open(tmp_path / "x.lmdb").classes == ("cat",)


def test_drawings_without_classes_make_an_unlabelled_dataset(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(b'key_id,countrycode,drawing\n8,US,"[[[1],[2]]]"\n')
    summary = run_import(tmp_path, to=tmp_path / "x.lmdb")
    dataset = Dataset.open(tmp_path / "x.lmdb")
    assert (summary.classes, dataset.classes, all_of(dataset, "label")) == (0, (), [-1])


def test_labelled_and_unlabelled_sources_are_not_mixed(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(CSV % 5)
    (tmp_path / "b.csv").write_bytes(b'key_id,countrycode,drawing\n8,US,"[[[1],[2]]]"\n')
    with pytest.raises(ImportRefused, match=r"a\.csv names them and .*b\.csv does not: .*--class"):
        run_import(tmp_path, to=tmp_path / "x.lmdb")
    assert not (tmp_path / "x.importing").exists()
    run_import(tmp_path, to=tmp_path / "x.lmdb", class_name="dog")
    assert names_of(Dataset.open(tmp_path / "x.lmdb")) == ["cat", "dog"]


def test_without_a_drawing_there_is_no_dataset(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(b"key_id,drawing,word\n")
    (tmp_path / "b.csv").write_bytes(CSV % 0)
    for folder in (tmp_path, tmp_path / "empty"):
        folder.mkdir(exist_ok=True)
        summary = run_import(folder, to=tmp_path / "out" / "deeper" / "x.lmdb")
        assert summary.samples == 0
        assert not (tmp_path / "out").exists(), "folders that were made for it are gone"
    (tmp_path / "out").mkdir()
    run_import(tmp_path, to=tmp_path / "out" / "deeper" / "x.lmdb")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_made_leaves_none_above_it(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(CSV % 5)
    with pytest.raises(ImportFailed, match="cannot create the folder"):
        run_import(tmp_path / "a.csv", to=tmp_path / "out" / "deeper" / f"{'x' * 250}.lmdb")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_an_existing_dataset_is_replaced_only_on_demand_and_only_by_a_whole_one(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(CSV % 5)
    first = run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb")
    (tmp_path / "a.csv").write_bytes(CSV % 6)
    with pytest.raises(ImportRefused, match="exists: give --replace"):
        run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb")
    (tmp_path / "b.csv").write_bytes(b"nothing")
    run_import(tmp_path / "b.csv", to=tmp_path / "x.lmdb", replace=True)
    assert Dataset.open(tmp_path / "x.lmdb").fingerprint == first.fingerprint
    second = run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb", replace=True)
    assert Dataset.open(tmp_path / "x.lmdb").fingerprint == second.fingerprint != first.fingerprint


@pytest.mark.parametrize("name", ["x", "x.txt", ".lmdb"])
def test_a_dataset_has_a_name_that_ends_in_lmdb(tmp_path, run_import, name):
    with pytest.raises(ImportRefused, match=r"--dataset is a file name that ends in \.lmdb, got"):
        run_import(tmp_path, to=tmp_path / name)


def test_missing_sources_are_refused_before_work_starts(tmp_path, run_import):
    with pytest.raises(ImportRefused, match=r"no such file or folder: .*nowhere"):
        run_import(tmp_path, tmp_path / "nowhere", to=tmp_path / "x.lmdb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("class_name", ["", "a\nb", "x" * 300])
def test_a_class_is_a_name(tmp_path, run_import, class_name):
    with pytest.raises(ImportRefused, match="--class: "):
        run_import(tmp_path, to=tmp_path / "x.lmdb", class_name=class_name)


def test_two_imports_to_one_target_exclude_each_other(tmp_path, run_import):
    (tmp_path / "a.csv").write_bytes(CSV % 5)
    with Staging(tmp_path / "x.lmdb"), pytest.raises(ImportFailed, match=r"another import to .*x\.lmdb is running"):
        run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb")
    run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb")


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path, run_import, silent_display, monkeypatch):
    (tmp_path / "a.csv").write_bytes(CSV % 5)

    def note(text):
        (tmp_path / "a.csv").write_bytes(CSV % 66)

    monkeypatch.setattr(silent_display, "note", note)
    with Staging(tmp_path / "x.lmdb") as staging:
        staging.record("of another import")  # so that there is something to note before reading begins
    with pytest.raises(ImportFailed, match=r"a\.csv has changed since the import began"):
        run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb", display=silent_display)


def test_a_zip_whose_damage_shows_at_its_end_is_one_reject(tmp_path, run_import, monkeypatch):
    monkeypatch.setattr(reading, "PART_BYTES", 1 << 18)
    rows = CSV % 1 + b"".join(ROW % number for number in range(2, 30_000))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("bad.csv", rows)
        archive.writestr("good.csv", CSV % 7)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[data.index(b"\n29000,") + 1] ^= 1
    (tmp_path / "x.zip").write_bytes(data)
    summary = run_import(tmp_path / "x.zip", to=tmp_path / "x.lmdb")
    assert (summary.samples, summary.rejected, summary.duplicates) == (1, 1, 0)
    [reject] = Dataset.open(tmp_path / "x.lmdb").entries("rejects")
    assert reject["file"] == f"{tmp_path}/x.zip/bad.csv"
    assert reject["line"] == 0
    assert reject["reason"].startswith("damaged archive: Bad CRC-32")


def test_lines_are_numbered_across_the_pieces_of_a_file(tmp_path, run_import, monkeypatch):
    monkeypatch.setattr(plan, "TASK_BYTES_MIN", 1 << 12)
    bad = [17, 400, 401, 999, 2000]
    lines = [b"key_id,drawing,word\n"]
    lines += [b"bad\n" if number in bad else b"\r\n" if number % 7 == 0 else ROW % number for number in range(2, 2001)]
    (tmp_path / "a.csv").write_bytes(b"".join(lines))
    run_import(tmp_path / "a.csv", to=tmp_path / "x.lmdb")
    assert [entry["line"] for entry in Dataset.open(tmp_path / "x.lmdb").entries("rejects")] == bad


def test_more_classes_than_make_sense_are_refused(tmp_path, run_import, monkeypatch):
    monkeypatch.setattr("batch_server.importing.writing.CLASSES_LIMIT", 3)
    rows = [json.dumps({"word": str(number), "key_id": number, "drawing": [[[1], [2]]]}) for number in range(1, 5)]
    (tmp_path / "a.ndjson").write_text("\n".join(rows))
    with pytest.raises(ImportFailed, match="at most 3 classes, got 4"):
        run_import(tmp_path / "a.ndjson", to=tmp_path / "x.lmdb")
