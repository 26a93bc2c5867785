"""Requests that make no sense, and those for what is not there, are refused by field, rule and value."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from inkstream.v1 import batch_service_pb2 as pb
from tests.batch_server.serving.calls import details_of, failure, pipeline


@pytest.mark.parametrize("remainder", [pb.REMAINDER_PAD, pb.REMAINDER_DROP])
def test_shards_that_do_not_divide_an_equal_batch_are_refused_with_both_numbers(
    serve: Callable[..., Any], call: Callable[..., Any], remainder: int
) -> None:
    caller = call(serve().address)
    asked = pipeline(batch_size=60, remainder=remainder)
    for count in (1, 4, 60):
        shards = [caller.request(asked, steps=1, shard=pb.Shard(index=index, count=count)) for index in range(count)]
        assert sum(chunk.rows for shard in shards for chunk in caller.chunks(shard)) == 60
    error = failure(lambda: caller.chunks(caller.request(asked, shard=pb.Shard(index=0, count=7))))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = details_of(error)[1].field_violations
    assert violation.field == "shard.count" and "batch_size 60" in violation.description
    assert "got 7" in violation.description


BAD_RANGES = {
    "digest": ({"digest": ""}, "as ResolvePipeline returned it"),
    "fingerprint": ({"fingerprint": ""}, "as ResolvePipeline returned it"),
    "epoch": ({"epoch": -1}, "at least 0, got -1"),
    "first_step": ({"first_step": 8, "steps": 1}, "below the 8 steps, got 8"),
    "steps": ({"steps": 9}, "within the 8 steps, got 9 from 0"),
    "first_chunk": ({"steps": 1, "first_chunk": 1}, "within the step's 1, got 1 to 2"),
    "shard.count": ({"shard": pb.Shard(count=65_537)}, "1 to 65,536, got 65537"),
    "shard.index": ({"shard": pb.Shard(index=2, count=2)}, "from 0 to 1, got 2"),
    "compression": ({"compression": 99}, "got 99"),
    "rotten_record": ({"rotten_record": 3}, "got 3"),
    "demand_rows_per_s": ({"demand_rows_per_s": float("nan")}, "got nan"),
}


@pytest.mark.parametrize("field", BAD_RANGES)
def test_a_range_that_makes_no_sense_names_field_rule_and_value(
    serve: Callable[..., Any], call: Callable[..., Any], field: str
) -> None:
    fields, rule = BAD_RANGES[field]
    caller = call(serve().address)
    request = caller.request(pipeline(), **fields)
    error = failure(lambda: list(caller.stream(request)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, bad, _ = details_of(error)
    assert info.reason == "ERROR_REASON_INVALID_FIELD"
    assert [violation.field for violation in bad.field_violations] == [field]
    assert rule in bad.field_violations[0].description


def test_all_that_is_wrong_is_named_at_once(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    request = pb.StreamBatchesRequest(pipeline=pipeline(batch_size=0, render=pb.Render(size=7)), epoch=-1)
    _, bad, _ = details_of(failure(lambda: list(caller.stream(request))))
    fields = {violation.field for violation in bad.field_violations}
    assert fields == {"digest", "fingerprint", "epoch", "steps", "batch_size", "render.size"}


def test_unknown_fields_are_refused_wherever_they_are(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    unknown = b"\xa0\x06\x01"  # field 100, varint 1
    request = caller.request(pipeline())
    in_range = pb.StreamBatchesRequest.FromString(request.SerializeToString() + unknown)
    in_shard = caller.request(pipeline(), shard=pb.Shard.FromString(b"\x10\x01" + unknown))
    in_render = caller.request(pipeline())
    in_render.pipeline.render.MergeFromString(unknown)
    for each, field in ((in_range, "field 100"), (in_shard, "shard.field 100"), (in_render, "render.field 100")):
        error = failure(lambda each=each: list(caller.stream(each)))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert [violation.field for violation in details_of(error)[1].field_violations] == [field]
    name = pb.GetDatasetRequest.FromString(unknown)
    assert failure(lambda: caller.stub.GetDataset(name)).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_class_that_is_not_there_gets_near_names(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    asked = pipeline(filter=pb.Filter(classes=["cat", "power outlat"]))
    error = failure(lambda: caller.resolve(asked))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = details_of(error)[1].field_violations
    assert violation.field == "filter.classes"
    assert "power outlat" in violation.description and "'power outlet'" in violation.description


def test_mismatches_and_empty_splits_have_codes_of_their_own(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    caller = call(serve().address)
    request = caller.request(pipeline())
    cases: list[tuple[Callable[[], Any], Any, str]] = [
        (
            lambda: caller.resolve(pipeline(dataset="sketchs")),
            grpc.StatusCode.NOT_FOUND,
            "UNKNOWN_DATASET",
        ),
        (
            lambda: caller.resolve(pipeline(batch_size=501, remainder=pb.REMAINDER_DROP)),
            grpc.StatusCode.FAILED_PRECONDITION,
            "EMPTY_SPLIT",
        ),
        (
            lambda: list(caller.stream(caller.request(pipeline(), fingerprint="0" * 32))),
            grpc.StatusCode.FAILED_PRECONDITION,
            "FINGERPRINT_MISMATCH",
        ),
        (
            lambda: list(caller.stream(caller.request(pipeline(), digest="0" * 32))),
            grpc.StatusCode.FAILED_PRECONDITION,
            "DIGEST_MISMATCH",
        ),
    ]
    for run, code, reason in cases:
        error = failure(run)
        assert error.code() is code
        assert details_of(error)[0].reason == f"ERROR_REASON_{reason}"
    assert list(caller.stream(request))
