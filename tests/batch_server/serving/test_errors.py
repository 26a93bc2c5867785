import logging
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from batch_server.batches import RottenRecord
from batch_server.serving.errors import DigestMismatch, FingerprintMismatch, InvalidField, status_of
from batch_server.store.errors import RottenColumn
from inkstream.errors import EmptySplit, InvalidPipeline, ServerDraining, ServerFull, UnknownDataset, Violation
from inkstream.status import MAX_DETAILS_BYTES
from inkstream.v1 import batch_service_pb2 as pb


def details(serialized: bytes) -> dict[str, object]:
    """The details of a status by their type."""
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    found: dict[str, object] = {}
    for packed in status_pb2.Status.FromString(serialized).details:
        for kind in kinds:
            if packed.Is(kind.DESCRIPTOR):
                found[kind.__name__] = message = kind()
                packed.Unpack(message)
    return found


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (InvalidPipeline([Violation("seed", "is odd")]), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (InvalidField(Violation("steps", "is 0")), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (UnknownDataset("x"), grpc.StatusCode.NOT_FOUND, "UNKNOWN_DATASET"),
        (FingerprintMismatch("x"), grpc.StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH"),
        (DigestMismatch("x"), grpc.StatusCode.FAILED_PRECONDITION, "DIGEST_MISMATCH"),
        (EmptySplit("x"), grpc.StatusCode.FAILED_PRECONDITION, "EMPTY_SPLIT"),
        (RottenRecord("doodles", 7), grpc.StatusCode.DATA_LOSS, "ROTTEN_DATA"),
        (RottenColumn(Path("a.lmdb"), "label", 3), grpc.StatusCode.DATA_LOSS, "ROTTEN_DATA"),
        (ServerFull("x", 0.5), grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_FULL"),
        (ServerDraining("x", 5.0), grpc.StatusCode.UNAVAILABLE, "DRAINING"),
        (KeyError("x"), grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_each_error_has_its_code_and_a_reason_of_the_contract(
    error: Exception, code: grpc.StatusCode, reason: str
) -> None:
    status = status_of(error)
    info = details(status.details)["ErrorInfo"]
    assert status.code is code
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (f"ERROR_REASON_{reason}", "inkstream")
    assert info.reason in pb.ErrorReason.keys()


def test_violations_retry_times_and_key_ids_are_in_the_details() -> None:
    bad = details(status_of(InvalidPipeline([Violation("render.size", "must be 8")])).details)["BadRequest"]
    assert isinstance(bad, error_details_pb2.BadRequest)
    assert [(each.field, each.description) for each in bad.field_violations] == [("render.size", "must be 8")]
    retry = details(status_of(ServerFull("full", 1.25)).details)["RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 1.25
    info = details(status_of(RottenRecord("doodles", 2**64 - 1)).details)["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert dict(info.metadata) == {"dataset": "doodles", "key_id": str(2**64 - 1)}


def test_a_rotten_column_names_no_path(caplog: pytest.LogCaptureFixture) -> None:
    status = status_of(RottenColumn(Path("/secret/place/doodles.lmdb"), "key_id", 12))
    assert "secret" not in status.message and b"secret" not in status.details
    assert "doodles" in status.message and "key_id" in status.message and "12" in status.message
    assert "/secret/place/doodles.lmdb" in caplog.text


def test_the_text_of_an_unexpected_error_goes_to_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status = status_of(ZeroDivisionError("the password is swordfish"))
    assert "swordfish" not in status.message and b"swordfish" not in status.details
    info = details(status.details)["ErrorInfo"]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.metadata["id"] in status.message and info.metadata["id"] in caplog.text
    assert "swordfish" in caplog.text


texts = st.text(max_size=3000)


@given(st.lists(st.builds(Violation, texts, texts), max_size=40))
def test_details_stay_small_however_much_is_wrong(violations: list[Violation]) -> None:
    status = status_of(InvalidField(*violations))
    assert len(status.details) <= MAX_DETAILS_BYTES
    assert len(status.message.encode()) <= 600


@given(texts, texts)
def test_details_stay_small_whatever_a_name_is(name: str, other: str) -> None:
    for error in (UnknownDataset(name), RottenRecord(name, 1), RottenColumn(Path(f"{other[:200]}x"), name, 1)):
        assert len(status_of(error).details) <= MAX_DETAILS_BYTES
