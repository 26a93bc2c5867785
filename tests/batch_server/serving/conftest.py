"""Small datasets of random drawings, and servers in this process on port 0."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from batch_server.drawing.record import pack
from batch_server.serving.server import BatchServer, ServerSettings
from batch_server.store.records import Records
from batch_server.store.writer import DatasetWriter
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.v1 import batch_service_pb2_grpc

CLASSES = ("cat", "dog", "power outlet")
SAMPLES = 500
# Of a call: kernels may have to be compiled first, on a busy machine.
TIMEOUT_S = 240


def random_records(samples: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)

    def stroke() -> tuple[list[int], list[int]]:
        points = rng.randint(2, 12)
        return [rng.randrange(256) for _ in range(points)], [rng.randrange(256) for _ in range(points)]

    return [pack([stroke() for _ in range(rng.randint(1, 5))]) for _ in range(samples)]


def _write_dataset(path: Path, samples: int = SAMPLES, seed: int = 1, classes: tuple[str, ...] = CLASSES) -> str:
    """Writes a finished dataset in one move; returns its fingerprint. Key ids are 1,000 and up."""
    unfinished = path.with_suffix(".part")
    with DatasetWriter(unfinished, "drawing", classes) as writer:
        writer.append(
            Records.of(random_records(samples, seed)),
            {
                "label": np.arange(samples, dtype=np.int32) % len(classes)
                if classes
                else np.full(samples, -1, np.int32),
                "key_id": np.arange(1000, 1000 + samples, dtype=np.uint64),
                "country": np.zeros(samples, np.uint16),
                "recognized": np.ones(samples, np.uint8),
                "timestamp": np.zeros(samples, np.uint32),
            },
        )
        fingerprint = writer.finish({})
    unfinished.rename(path)
    return fingerprint


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., str]:
    """Writes a dataset: `write_dataset(path, samples=10, seed=2, classes=())`; returns its fingerprint."""
    return _write_dataset


@pytest.fixture(scope="session")
def sketches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dataset `sketches`: 500 random drawings in 3 classes."""
    folder = tmp_path_factory.mktemp("sketches")
    _write_dataset(folder / "sketches.lmdb")
    return folder


@pytest.fixture
def serve(sketches: Path) -> Iterator[Callable[..., BatchServer]]:
    """Starts servers in this process: `serve(threads=4)`; the data are `sketches` unless said otherwise."""
    running: list[BatchServer] = []

    def start(
        data: Path = sketches,
        threads: int = 2,
        memory_mib: int = 64,
        cache_mib: int = 16,
        max_streams: int = 8,
        **options: Any,
    ) -> BatchServer:
        sizes = {"memory_bytes": memory_mib << 20, "cache_bytes": cache_mib << 20}
        running.append(
            BatchServer(ServerSettings(data, "127.0.0.1:0", threads, max_streams=max_streams, **sizes, **options))
        )
        running[-1].load()
        running[-1].start()
        return running[-1]

    yield start
    for server in running:
        server.stop()


class Caller:
    """A plain generated stub on a channel without options."""

    def __init__(self, address: str, options: list[tuple[str, Any]] | None = None):
        self.channel = grpc.insecure_channel(address, options=options)
        self.stub = batch_service_pb2_grpc.BatchServiceStub(self.channel)

    def request(self, pipeline: pb.Pipeline | None = None, **fields: Any) -> pb.StreamBatchesRequest:
        """All steps of epoch 0, unless said otherwise."""
        resolved = self.resolve(pipeline or pb.Pipeline(dataset="sketches", batch_size=64))
        start = {
            "pipeline": resolved.pipeline,
            "digest": resolved.digest,
            "fingerprint": resolved.fingerprint,
            "steps": resolved.steps_per_epoch,
        }
        return pb.StreamBatchesRequest(**(start | fields))

    def resolve(self, pipeline: pb.Pipeline) -> pb.ResolvePipelineResponse:
        return self.stub.ResolvePipeline(pb.ResolvePipelineRequest(pipeline=pipeline), timeout=TIMEOUT_S)

    def stream(self, request: pb.StreamBatchesRequest) -> Any:
        return self.stub.StreamBatches(request, timeout=TIMEOUT_S)

    def chunks(self, request: pb.StreamBatchesRequest) -> list[pb.Chunk]:
        """The whole answer, parts put together, as generated code reads it."""
        chunks, parts = [], b""
        for message in self.stream(request):
            assert message.ByteSize() < 4 << 20
            if message.HasField("chunk"):
                chunks.append(message.chunk)
                continue
            assert message.part.offset_bytes == len(parts)
            parts += message.part.data
            if len(parts) == message.part.total_bytes:
                chunks.append(pb.Chunk.FromString(parts))
                parts = b""
        assert not parts
        return chunks


@pytest.fixture
def call() -> Iterator[Callable[..., Caller]]:
    """Connects plain stubs: `call(server.address)`."""
    callers: list[Caller] = []

    def connect(address: str, options: list[tuple[str, Any]] | None = None) -> Caller:
        callers.append(Caller(address, options))
        return callers[-1]

    yield connect
    for caller in callers:
        caller.channel.close()
