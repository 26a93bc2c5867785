"""What the four calls answer, through a plain generated stub on a channel without options."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from batch_server.batches import BatchMaker, ChunkTensors, TensorSpec
from batch_server.rendering import RENDERER_VERSION, self_test_digest
from batch_server.serving import chunks
from batch_server.store.reader import Dataset
from inkstream import messages, wire
from inkstream.chunking import Span
from inkstream.pipeline import Pipeline, Render
from inkstream.v1 import batch_service_pb2 as pb
from tests.batch_server.serving.calls import AUGMENT, WAIT_S, decoded, failure, pipeline

COMPRESSIONS = [pb.COMPRESSION_NONE, pb.COMPRESSION_SPARSE_WORDS, pb.COMPRESSION_ZSTD]


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


def test_a_shard_without_rows_gets_an_empty_answer(serve: Callable[..., Any], call: Callable[..., Any]) -> None:
    caller = call(serve().address)
    asked = pipeline(batch_size=499)  # the second batch has one row
    assert caller.chunks(caller.request(asked, first_step=1, steps=1, shard=pb.Shard(index=0, count=3))) == []
    (chunk,) = caller.chunks(caller.request(asked, first_step=1, steps=1, shard=pb.Shard(index=2, count=3)))
    assert (chunk.first_row, chunk.rows, chunk.batch_rows) == (0, 1, 1)


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
