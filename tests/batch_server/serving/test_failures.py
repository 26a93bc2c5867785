"""Rotten data and failures of the server itself end the calls that need them, and no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batch_server.store.reader import Dataset
from inkstream.v1 import batch_service_pb2 as pb
from tests.batch_server.serving.calls import AUGMENT, WAIT_S, decoded, details_of, failure, pipeline


@pytest.fixture
def rotten_data(tmp_path: Path, write_dataset: Callable[..., str]) -> Path:
    """A folder with `sketches` of which the record of key id 1007 has a flipped bit."""
    path = tmp_path / "sketches.lmdb"
    write_dataset(path)
    dataset = Dataset.open(path)
    record = dataset.records(np.array([7]))[0]
    data = bytearray(path.read_bytes())
    assert data.count(record) == 1
    data[data.index(record) + len(record) - 1] ^= 1
    path.write_bytes(data)
    return tmp_path


def test_a_rotten_record_is_named_and_becomes_a_blank_on_request(
    serve: Callable[..., Any], call: Callable[..., Any], rotten_data: Path
) -> None:
    caller = call(serve(rotten_data).address)
    asked = pipeline(shuffle=False, batch_size=50, render=pb.Render(size=32, paper=9), augment=AUGMENT)
    error = failure(lambda: list(caller.stream(caller.request(asked))))
    assert error.code() is grpc.StatusCode.DATA_LOSS
    info = details_of(error)[0]
    assert info.reason == "ERROR_REASON_ROTTEN_DATA"
    assert dict(info.metadata) == {"dataset": "sketches", "key_id": "1007"}
    chunks = caller.chunks(caller.request(asked, rotten_record=pb.ROTTEN_RECORD_BLANK))
    assert [list(chunk.blanks) for chunk in chunks] == [[1007]] + [[]] * 9
    first = decoded(chunks[0])
    assert first["key_id"][7] == 1007 and first["label"][7] == 7 % 3
    assert first["mask"].tolist() == [1] * 7 + [0] + [1] * 42
    assert (first["image"][7] == 9).all() and not (first["image"][6] == 9).all()
    sound = caller.chunks(caller.request(asked, first_step=1, steps=9))
    assert [chunk.step for chunk in sound] == list(range(1, 10))


def test_a_rotten_column_refuses_its_dataset_and_no_other(
    serve: Callable[..., Any], call: Callable[..., Any], tmp_path: Path, write_dataset: Callable[..., str]
) -> None:
    write_dataset(tmp_path / "rotten.lmdb", seed=77)  # contents that no other test has counted
    write_dataset(tmp_path / "sketches.lmdb", seed=2)
    data = bytearray((tmp_path / "rotten.lmdb").read_bytes())
    key_ids = np.arange(1000, 1500, dtype="<u8").tobytes()
    assert data.count(key_ids) == 1
    data[data.index(key_ids) + 8 * 77] ^= 1
    (tmp_path / "rotten.lmdb").write_bytes(data)
    caller = call(serve(tmp_path).address)
    for run in (
        lambda: caller.resolve(pipeline(dataset="rotten", split=pb.SPLIT_TRAIN)),
        lambda: caller.stub.GetDataset(pb.GetDatasetRequest(name="rotten")),
        lambda: list(caller.stream(caller.request(pipeline(dataset="rotten", shuffle=False)))),
    ):
        error = failure(run)
        assert error.code() is grpc.StatusCode.DATA_LOSS
        assert dict(details_of(error)[0].metadata) == {"dataset": "rotten", "column": "key_id", "block": "0"}
    listed = caller.stub.ListDatasets(pb.ListDatasetsRequest()).datasets
    assert [(dataset.name, len(dataset.splits)) for dataset in listed] == [("rotten", 0), ("sketches", 3)]
    assert caller.chunks(caller.request(pipeline()))


def test_a_failure_in_a_render_thread_arrives_at_once(
    serve: Callable[..., Any], call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("the password is swordfish")

    caller = call(serve().address)
    request = caller.request(pipeline())
    monkeypatch.setattr("batch_server.batches.draw", broken)
    error = failure(lambda: list(caller.stub.StreamBatches(request, timeout=WAIT_S)))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "swordfish" not in error.details()
    info = details_of(error)[0]
    assert info.reason == "ERROR_REASON_INTERNAL" and info.metadata["id"] in error.details()
    monkeypatch.undo()
    assert list(caller.stream(request))
