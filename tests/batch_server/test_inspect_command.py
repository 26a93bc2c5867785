import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch_server.cli import main
from batch_server.drawing.record import pack
from batch_server.store.reader import Dataset
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter

REJECT = {"file": "rows.ndjson", "line": 4, "reason": "a drawing has at least one stroke"}
DUPLICATE = {"key_id": 1, "file": "rows.ndjson", "line": 3}


def write(path: Path, key_ids: list[int]) -> Path:
    """Three drawings, one duplicate and one reject."""
    columns: dict[str, Any] = {
        "label": np.array([1, 0, 1], np.int32),
        "key_id": np.array(key_ids, np.uint64),
        "country": np.zeros(3, np.uint16),
        "recognized": np.ones(3, np.uint8),
        "timestamp": np.zeros(3, np.uint32),
    }
    with DatasetWriter(path, "drawing", ["axe", "cat"]) as writer:
        writer.append(Records.of([pack([([0, 9], [3, 4])])] * 3), columns)
        writer.finish({"sources": ["rows.ndjson"]}, [REJECT], [DUPLICATE])
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("inspect") / "small.lmdb", [1, 2, 4])


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command; gives exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main(["inspect", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def test_json_says_what_is_in_it(small: Path, inspect: Callable[..., Any]) -> None:
    code, out, err = inspect(small, "--json")
    assert (code, err) == (0, "")
    described = json.loads(out)
    dataset = Dataset.open(small)
    expected = {
        "name": "small",
        "kind": "drawing",
        "samples": 3,
        "classes": ["axe", "cat"],
        "counts": {"axe": 1, "cat": 2},
        "unlabelled": 0,
        "fingerprint": dataset.fingerprint,
        "rejected": 1,
        "duplicates": 1,
        "bytes": small.stat().st_size,
    }
    assert {name: described[name] for name in expected} == expected
    assert described["splits"]["all"] == 3 == described["splits"]["train"] + described["splits"]["validation"]


def test_json_lists_what_the_import_left_out(small: Path, inspect: Callable[..., Any]) -> None:
    _, out, _ = inspect(small, "--json", "--rejects", "--duplicates")
    described = json.loads(out)
    assert (described["rejected"], described["duplicates"]) == (1, 1)
    assert described["rejected_rows"] == [REJECT]
    assert described["duplicate_rows"] == [DUPLICATE]


def test_table_for_people(small: Path, inspect: Callable[..., Any]) -> None:
    code, out, err = inspect(small, "--rejects", "--duplicates")
    assert (code, err) == (0, "")
    for words in ("small", "drawing", "cat 2", "axe 1", Dataset.open(small).fingerprint, "line 4", "key_id 1"):
        assert words in out
    assert "line 4" not in inspect(small)[1]


def test_counts_of_many_drawings(data_dir: Path, inspect: Callable[..., Any]) -> None:
    described = json.loads(inspect(data_dir / "scribbles.lmdb", "--json")[1])
    assert described["samples"] == sum(described["counts"].values()) == 2311
    assert 0 < described["splits"]["validation"] < 40


def test_what_cannot_be_read_is_one_line(small: Path, inspect: Callable[..., Any], tmp_path: Path) -> None:
    whole = small.read_bytes()
    for name, content in {
        "empty": b"",
        "text": b"hello\n",
        "half": whole[: len(whole) // 2],
        "most": whole[:-1],
    }.items():
        (tmp_path / name).write_bytes(content)
    DatasetWriter(tmp_path / "unfinished", "drawing", []).close()
    rotten = bytearray(whole)
    rotten[whole.index(b'"schema_version"') + 1] ^= 1
    (tmp_path / "rotten").write_bytes(rotten)
    for name in ("absent", "empty", "text", "half", "most", "unfinished", "rotten", "."):
        code, out, err = inspect(tmp_path / name, "--json")
        assert (code, out) == (2 if name in ("absent", ".") else 1, "")
        assert err.startswith(f"batch-server: {tmp_path / name} ")
        assert err.count("\n") == 1
        assert len(err) > len(f"batch-server: {tmp_path / name} ") + len(os.linesep)


def test_a_sound_dataset_is_one_line(small: Path, inspect: Callable[..., Any]) -> None:
    code, out, err = inspect(small, "--verify")
    assert (code, err) == (0, "")
    assert out.startswith(f"{small} is sound") and out.count("\n") == 1
    described = json.loads(inspect(small, "--verify", "--json")[1])
    nothing = {"count": 0, "first": []}
    assert described["verification"] == {
        "sound": True,
        "fingerprint": described["fingerprint"],
        "rotten_records": nothing,
        "rotten_columns": nothing,
        "other_faults": nothing,
    }


def test_what_is_rotten_is_listed(small: Path, inspect: Callable[..., Any], tmp_path: Path) -> None:
    whole, places = bytearray(small.read_bytes()), Dataset.open(small).places
    whole[places["records"][0].sum() - 1] ^= 1
    whole[places["timestamp"][0].sum() - 1] ^= 1
    rotten = tmp_path / "rotten.lmdb"
    rotten.write_bytes(whole)
    code, out, err = inspect(rotten, "--verify")
    assert code == 1
    fault, *lines = out.splitlines()
    assert fault.startswith("fault: the manifest has fingerprint")
    assert lines == ["rotten column: timestamp, block 0", "rotten record: sample 2, key id 4"]
    assert err.startswith(f"batch-server: {rotten} is rotten (records: 1 of 3, blocks of columns: 1, other faults: 1)")

    code, out, err = inspect(rotten, "--verify", "--json")
    assert (code, err.count("\n")) == (1, 1)
    found = json.loads(out)["verification"]
    assert not found["sound"]
    assert found["rotten_records"] == {"count": 1, "first": [{"sample": 2, "key_id": 4}]}
    assert found["rotten_columns"] == {"count": 1, "first": [{"column": "timestamp", "block": 0}]}
    assert found["other_faults"]["count"] == 1


def test_rotten_key_ids_leave_no_splits(inspect: Callable[..., Any], tmp_path: Path) -> None:
    rotten = write(tmp_path / "rotten.lmdb", [8, 9, 11])
    whole, places = bytearray(rotten.read_bytes()), Dataset.open(rotten).places
    whole[places["key_id"][0].sum() - 1] ^= 1
    whole[places["records"][0].sum() - 1] ^= 1
    rotten.write_bytes(whole)
    described = json.loads(inspect(rotten, "--verify", "--json")[1])
    assert described["splits"] is None
    assert described["verification"]["rotten_records"]["first"] == [{"sample": 2, "key_id": None}]
    assert "rotten record: sample 2, key id unknown" in inspect(rotten, "--verify")[1]


@pytest.mark.parametrize("words", [[], ["a.lmdb", "--yaml"], ["a.lmdb", "b.lmdb"]])
def test_wrong_usage(words: list[str], inspect: Callable[..., Any]) -> None:
    code, out, err = inspect(*words)
    assert (code, out) == (2, "")
    assert "usage: batch-server" in err


def test_verifying_lists_nothing_else(small: Path, inspect: Callable[..., Any]) -> None:
    code, out, err = inspect(small, "--verify", "--rejects", "--duplicates")
    assert (code, out) == (2, "")
    assert "leave out --rejects, --duplicates" in err
