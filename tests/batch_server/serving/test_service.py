"""The four calls, through a plain generated stub on a channel without options."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from batch_server.batches import BatchMaker, ChunkTensors, TensorSpec
from batch_server.rendering import RENDERER_VERSION, self_test_digest
from batch_server.serving import chunks
from batch_server.store.reader import Dataset
from inkstream import messages, wire
from inkstream.chunking import Span
from inkstream.compression import decode
from inkstream.pipeline import Pipeline, Render
from inkstream.v1 import batch_service_pb2 as pb

WAIT_S = 120
AUGMENT = pb.Augment(rotate_deg=10, shift=0.05, stroke_dropout=0.1, jitter=0.01, erase=pb.Erase())
COMPRESSIONS = [pb.COMPRESSION_NONE, pb.COMPRESSION_SPARSE_WORDS, pb.COMPRESSION_ZSTD]


def pipeline(**settings: Any) -> pb.Pipeline:
    defaults = {"dataset": "sketches", "batch_size": 64, "split": pb.SPLIT_ALL, "seed": 7, "render": pb.Render(size=32)}
    return pb.Pipeline(**(defaults | settings))


def decoded(chunk: pb.Chunk, paper: bytes = b"\0") -> dict[str, np.ndarray]:
    tensors = {}
    for tensor in chunk.tensors:
        values = np.empty(tuple(tensor.shape), wire.DTYPES[tensor.dtype])
        decode(tensor.compression, memoryview(tensor.data), values, paper if tensor.name == "image" else b"")
        tensors[tensor.name] = values
    return tensors


def details_of(error: grpc.RpcError) -> tuple[Any, Any, Any]:
    """ErrorInfo, BadRequest and RetryInfo of a failed call."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    metadata = dict(error.trailing_metadata())
    for packed in status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details:
        assert packed.Unpack(info) or packed.Unpack(bad) or packed.Unpack(retry)
    return info, bad, retry


def failure(run: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        run()
    return caught.value


def test_datasets_are_described(serve: Callable[..., Any], call: Callable[..., Any], sketches: Path) -> None:
    stub = call(serve().address).stub
    listed = stub.ListDatasets(pb.ListDatasetsRequest())
    assert listed.renderer == pb.Renderer(version=RENDERER_VERSION, self_test_digest=self_test_digest())
    (described,) = listed.datasets
    assert described == stub.GetDataset(pb.GetDatasetRequest(name="sketches")).dataset
    assert described.fingerprint == Dataset.open(sketches / "sketches.lmdb").fingerprint
    assert (described.name, described.kind, described.samples) == ("sketches", "drawing", 500)
    assert list(described.classes) == ["cat", "dog", "power outlet"]
    assert list(described.class_counts) == [167, 167, 166]
    splits = {split.split: split.samples for split in described.splits}
    assert splits[pb.SPLIT_ALL] == 500 == splits[pb.SPLIT_TRAIN] + splits[pb.SPLIT_VALIDATION]


def test_a_pipeline_is_completed_and_measured(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    asked = pb.Pipeline(
        dataset="sketches", batch_size=60, split=pb.SPLIT_ALL, render=pb.Render(encoding=pb.ENCODING_THIRDS, paper=9)
    )
    resolved = call(serve().address).resolve(asked)
    complete = Pipeline(dataset="sketches", batch_size=60, split="all", render=Render(encoding="thirds", paper=9))
    assert resolved.pipeline == messages.to_message(complete)
    assert resolved.digest == messages.digest(complete, resolved.fingerprint, RENDERER_VERSION)
    assert (resolved.samples, resolved.steps_per_epoch) == (500, 9)
    assert list(resolved.classes) == ["cat", "dog", "power outlet"]
    assert [(spec.name, spec.dtype, list(spec.shape), spec.paper) for spec in resolved.tensors] == [
        ("image", pb.DATA_TYPE_UINT8, [60, 128, 128, 3], b"\t\t\t"),
        ("label", pb.DATA_TYPE_INT32, [60], b""),
        ("key_id", pb.DATA_TYPE_UINT64, [60], b""),
        ("mask", pb.DATA_TYPE_UINT8, [60], b""),
    ]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("paper", [0, 200])
def test_an_epoch_arrives_whole_and_as_the_pure_function_says(
    serve: Callable[..., Any], call: Callable[..., Any], sketches: Path, compression: int, paper: int
) -> None:
    caller = call(serve().address)
    render = pb.Render(size=64, encoding=pb.ENCODING_RAINBOW, paper=paper, ink=255)
    asked = pipeline(batch_size=400, render=render, augment=AUGMENT)
    chunks = caller.chunks(caller.request(asked, epoch=3, compression=compression))
    maker = BatchMaker(Dataset.open(sketches / "sketches.lmdb"), messages.from_message(asked))
    limit = 1 << 20 if compression == pb.COMPRESSION_NONE else 4 << 20
    rows_at_most = limit // (64 * 64 * 3)
    keys, position = [], (0, 0)
    for chunk in chunks:
        assert chunk.epoch == 3 and chunk.rows <= rows_at_most
        assert (chunk.step, chunk.first_row) == position
        assert chunk.batch_rows == (400 if chunk.step == 0 else 100)
        stop = chunk.first_row + chunk.rows
        position = (chunk.step, stop) if stop < chunk.batch_rows else (chunk.step + 1, 0)
        tensors = decoded(chunk, bytes([paper]) * 3)
        expected = maker.chunk(3, chunk.step, Span(chunk.first_row, stop))
        for name, values in expected.tensors.items():
            assert np.array_equal(tensors[name], values)
        sizes = chunk.epoch, chunk.step, chunk.first_row, chunk.rows
        assert chunk.checksum == wire.checksum(*sizes, tensors)
        keys += tensors["key_id"].tolist()
    assert sorted(keys) == list(range(1000, 1500))
    used = {tensor.compression for chunk in chunks for tensor in chunk.tensors if tensor.name == "image"}
    assert used == {compression}


def test_what_does_not_shrink_travels_as_it_is(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    dense = pipeline(render=pb.Render(size=8), augment=pb.Augment(zoom=pb.Interval(low=2, high=2)), batch_size=500)
    (chunk,) = caller.chunks(caller.request(dense, compression=pb.COMPRESSION_SPARSE_WORDS))
    assert chunk.tensors[0].compression == pb.COMPRESSION_NONE
    assert all(tensor.compression == pb.COMPRESSION_NONE for tensor in chunk.tensors)


def test_a_row_larger_than_a_message_travels_in_parts(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    """The largest row that settings allow, 4.9 MB, through gRPC's default limit of 4 MiB."""
    caller = call(serve().address)
    large = pipeline(batch_size=3, render=pb.Render(size=1280, encoding=pb.ENCODING_RAINBOW))
    chunks = caller.chunks(caller.request(large, steps=1))
    assert [(chunk.first_row, chunk.rows) for chunk in chunks] == [(0, 1), (1, 1), (2, 1)]
    for chunk in chunks:
        assert len(chunk.tensors[0].data) == 1280 * 1280 * 3
        sizes = chunk.epoch, chunk.step, chunk.first_row, chunk.rows
        assert chunk.checksum == wire.checksum(*sizes, decoded(chunk))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_row_of_8_mb_passes_too(
    serve: Callable[..., Any], call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, compression: int
) -> None:
    """No setting gives so large a row, so the pictures here are made up: noise, which nothing shrinks."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 1640, 1640, 3), dtype=np.uint8)
    assert noise.nbytes > 8_000_000
    chunk_of, specs_of = BatchMaker.chunk, chunks.tensor_specs

    def noisy(*position: Any, image: np.ndarray, **options: Any) -> ChunkTensors:
        image[:] = noise
        return chunk_of(*position, **options)._replace(image=image)

    def large_specs(render: Render) -> tuple[TensorSpec, ...]:
        image, *others = specs_of(render)
        return image._replace(row_shape=noise.shape[1:]), *others

    monkeypatch.setattr(BatchMaker, "chunk", noisy)
    monkeypatch.setattr(chunks, "tensor_specs", large_specs)
    caller = call(serve().address)
    got = caller.chunks(caller.request(pipeline(batch_size=1), steps=3, compression=compression))
    assert len(got) == 3
    for chunk in got:
        tensors = decoded(chunk)
        assert np.array_equal(tensors["image"], noise)
        assert chunk.checksum == wire.checksum(chunk.epoch, chunk.step, 0, 1, tensors)


def test_rows_do_not_depend_on_threads_restarts_shards_or_where_a_range_begins(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    asked = pipeline(render=pb.Render(size=128), batch_size=200, augment=AUGMENT, remainder=pb.REMAINDER_PAD)
    one, four = call(serve(threads=1).address), call(serve(threads=4).address)
    request = one.request(asked)
    whole = [chunk.SerializeToString() for chunk in one.chunks(request)]
    assert len(whole) > 6
    assert [chunk.SerializeToString() for chunk in four.chunks(request)] == whole
    again = call(serve(threads=2).address)
    step_1 = [chunk for chunk in again.chunks(again.request(asked, first_step=1, steps=1))]
    middle = again.chunks(again.request(asked, first_step=1, steps=1, first_chunk=1, chunks=2))
    assert middle == step_1[1:3]
    assert [chunk.SerializeToString() for chunk in step_1] == [
        serialized for serialized in whole if pb.Chunk.FromString(serialized).step == 1
    ]
    shards = [again.chunks(again.request(asked, shard=pb.Shard(index=index, count=2))) for index in range(2)]
    for step in range(3):
        rows = [decoded(chunk)["image"] for shard in shards for chunk in shard if chunk.step == step]
        whole_step = [decoded(pb.Chunk.FromString(each)) for each in whole]
        images = [
            each["image"] for each, raw in zip(whole_step, whole, strict=True) if pb.Chunk.FromString(raw).step == step
        ]
        assert np.array_equal(np.concatenate(rows), np.concatenate(images))


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


def test_a_shard_without_rows_gets_an_empty_answer(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    asked = pipeline(batch_size=499)  # the second batch has one row
    assert caller.chunks(caller.request(asked, first_step=1, steps=1, shard=pb.Shard(index=0, count=3))) == []
    (chunk,) = caller.chunks(caller.request(asked, first_step=1, steps=1, shard=pb.Shard(index=2, count=3)))
    assert (chunk.first_row, chunk.rows, chunk.batch_rows) == (0, 1, 1)


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


def test_a_full_server_refuses_at_once_and_still_answers_everything_else(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    caller = call(serve(max_streams=2).address)
    large = pipeline(render=pb.Render(size=512), batch_size=500)
    held = [caller.stream(caller.request(large)) for _ in range(2)]
    for stream in held:
        next(stream)
    error = failure(lambda: list(caller.stream(caller.request(large))))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    info, _, retry = details_of(error)
    assert info.reason == "ERROR_REASON_SERVER_FULL"
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0
    assert caller.stub.ListDatasets(pb.ListDatasetsRequest(), timeout=WAIT_S).datasets
    health = health_pb2_grpc.HealthStub(caller.channel)
    assert (
        health.Check(health_pb2.HealthCheckRequest(), timeout=WAIT_S).status == health_pb2.HealthCheckResponse.SERVING
    )
    for stream in held:
        stream.cancel()
    assert list(until_admitted(lambda: caller.stream(caller.request(pipeline()))))


def until_admitted(run: Callable[[], Any]) -> Iterator[Any]:
    """Asks again while the server is full: a cancelled stream leaves within milliseconds."""
    for _ in range(1000):
        try:
            return iter(list(run()))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    raise AssertionError("the streams that were cancelled still hold their places")


def test_a_stalled_client_holds_bounded_memory_and_leaves_when_it_is_cancelled(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = serve(memory_mib=64, max_streams=4)
    budget = server.budget
    caller = call(server.address)
    large = caller.request(pipeline(render=pb.Render(size=1280), batch_size=500))
    stalled = [caller.stream(large) for _ in range(3)]
    for stream in stalled:
        next(stream)
    # 800 MB a stream wait to be drawn; beside them a good stream goes on, whose bytes fit into what they leave.
    good = caller.request(pipeline(batch_size=10))
    for _ in range(5):
        assert len(caller.chunks(good)) == 50
        assert budget.taken_bytes <= 64 << 20
    for stream in stalled:
        stream.cancel()
    assert wait_until(lambda: budget.taken_bytes == 0)


def wait_until(holds: Callable[[], bool]) -> bool:
    waiting = threading.Event()
    return any(holds() or waiting.wait(0.01) for _ in range(100 * WAIT_S))


def test_a_client_that_leaves_gives_everything_back(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    server = serve()
    for _ in range(3):
        caller = call(server.address, [("grpc.use_local_subchannel_pool", 1)])
        next(caller.stream(caller.request(pipeline(render=pb.Render(size=512), batch_size=500))))
        caller.channel.close()
    assert wait_until(lambda: server.budget.taken_bytes == 0 and server.admission.streams == 0)


def test_trainers_on_one_pipeline_share_one_drawing(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    server = serve()
    callers = [call(server.address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
    request = callers[0].request(pipeline(augment=AUGMENT))
    with ThreadPoolExecutor(4) as trainers:
        answers = list(trainers.map(lambda caller: caller.chunks(request), callers))
    assert all(chunks == answers[0] for chunks in answers)
    figures = server.chunks.snapshot()
    assert figures.misses == len(answers[0]) == 8
    assert figures.hits + figures.awaited == 3 * 8
    # What decides the bytes decides the chunk, and nothing else: who asks, for which shard, from which step on.
    same = callers[0].request(pipeline(augment=AUGMENT), first_step=2, steps=1, stream_id=7)
    assert callers[0].chunks(same) == answers[0][2:3]
    assert server.chunks.snapshot().misses == 8
    for other in (
        callers[0].request(pipeline(augment=AUGMENT), epoch=1),
        callers[0].request(pipeline(augment=AUGMENT, seed=8)),
        callers[0].request(pipeline(augment=AUGMENT), compression=pb.COMPRESSION_ZSTD),
    ):
        assert callers[0].chunks(other) != answers[0]
    assert server.chunks.snapshot().misses == 4 * 8


def test_a_replaced_dataset_still_serves_its_runs(
    serve: Callable[..., Any], call: Callable[..., Any], tmp_path: Path, write_dataset: Callable[..., str]
) -> None:
    write_dataset(tmp_path / "sketches.lmdb", seed=1)
    server = serve(tmp_path)
    caller = call(server.address)
    request = caller.request(pipeline())
    before = caller.chunks(request)
    write_dataset(tmp_path / "sketches.lmdb", seed=2)
    server.catalog.look()
    assert caller.chunks(request) == before
    renewed = caller.request(pipeline())
    assert renewed.fingerprint != request.fingerprint and renewed.digest != request.digest
    assert caller.chunks(renewed) != before


def test_draining_refuses_new_ranges_and_lets_running_ones_end(
    serve: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = serve()
    caller = call(server.address)
    health = health_pb2_grpc.HealthStub(caller.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    request = caller.request(pipeline(render=pb.Render(size=512), batch_size=100))
    running = caller.stream(request)
    begun = [next(running)]
    complete: list[bool] = []
    draining = threading.Thread(target=lambda: complete.append(server.drain(0, WAIT_S, lambda: False)))
    draining.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    error = failure(lambda: list(caller.stream(request)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    info, _, retry = details_of(error)
    assert info.reason == "ERROR_REASON_DRAINING"
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0
    assert caller.resolve(pipeline()).samples == 500
    begun += running
    assert sum(message.chunk.rows for message in begun) == 500
    draining.join(WAIT_S)
    assert complete == [True]


def test_what_does_not_end_within_the_grace_is_cut_off(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    server = serve()
    caller = call(server.address)
    running = caller.stream(caller.request(pipeline(render=pb.Render(size=1280), batch_size=500)))
    next(running)
    assert server.drain(0, 0.1, lambda: False) is False
    assert failure(lambda: list(running)).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_reflection_names_the_service_within_its_bound(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([question]), timeout=WAIT_S)
    names = {service.name for service in answer.list_services_response.service}
    assert names == {"inkstream.v1.BatchService", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    stop = threading.Event()

    def endless() -> Iterator[Any]:
        yield question
        stop.wait(WAIT_S)

    idle = [stub.ServerReflectionInfo(endless(), timeout=WAIT_S) for _ in range(2)]
    for stream in idle:
        next(stream)
    assert failure(lambda: list(stub.ServerReflectionInfo(endless()))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    stop.set()
