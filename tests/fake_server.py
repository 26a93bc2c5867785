"""A batch server of synthetic tensors: the contract without a dataset, and told how to misbehave."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import grpc
import numpy as np
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

import inkstream
from inkstream import messages, wire
from inkstream.chunking import Span, chunk_rows, shard_rows
from inkstream.descriptions import renderer_info
from inkstream.errors import InvalidPipeline
from inkstream.pipeline import Pipeline
from inkstream.v1 import batch_service_pb2 as pb
from tests.chunk_encoding import encode_chunk

CLASSES = ("cat", "dog", "The Eiffel Tower")
DTYPES = {
    "image": pb.DATA_TYPE_UINT8,
    "label": pb.DATA_TYPE_INT32,
    "key_id": pb.DATA_TYPE_UINT64,
    "mask": pb.DATA_TYPE_UINT8,
}

# HealthCheckResponse by whether it says SERVING or NOT_SERVING.
HEALTH = {True: b"\x08\x01", False: b"\x08\x02"}

Fault = Callable[[pb.StreamBatchesRequest, grpc.ServicerContext], None]


def encode_sparse_words(data: bytes, paper: bytes) -> bytes:
    """The direct implementation of the contract's description."""
    whole, pixel = len(data) // 8, paper or b"\0"
    blank = np.frombuffer((pixel * (len(data) // len(pixel) + 1))[: 8 * whole], np.uint64)
    words = np.frombuffer(data[: 8 * whole], np.uint64)
    gaps, kept, last = bytearray(), [], -1
    for position in map(int, np.flatnonzero(words != blank)):
        while position - last > 255:
            last += 255
            gaps.append(255)
            kept.append(last)
        gaps.append(position - last)
        kept.append(position)
        last = position
    return len(gaps).to_bytes(4, "little") + gaps + words[kept].tobytes() + data[8 * whole :]


@lru_cache(maxsize=16)
def expected_batch(pipeline: Pipeline, samples: int, epoch: int, step: int) -> dict[str, np.ndarray]:
    """The global batch at a position: random rectangles, from nothing but the arguments."""
    size, channels = pipeline.render.size, pipeline.render.channels
    first = step * pipeline.batch_size
    count = pipeline.batch_size if pipeline.remainder == "pad" else min(pipeline.batch_size, samples - first)
    rng = np.random.default_rng([pipeline.seed, epoch])
    order = rng.permutation(samples) if pipeline.shuffle else np.arange(samples)
    indices = np.full(count, -1)
    real = order[first : first + count]
    indices[: len(real)] = real
    image = np.empty((count, size, size, channels), np.uint8)
    image[...] = np.frombuffer(pipeline.render.paper_pixel, np.uint8)
    for row, index in enumerate(indices):
        if index >= 0:
            y, x, height, width, value = np.random.default_rng([pipeline.seed, epoch, index]).integers(1, size, 5)
            image[row, y : y + height // 3, x : x + width // 3] = value
    return {
        "image": image,
        "label": np.where(indices >= 0, indices % 3, -1).astype(np.int32),
        "key_id": np.where(indices >= 0, indices + 1000, 0).astype(np.uint64),
        "mask": (indices >= 0).astype(np.uint8),
    }


class FakeServer:
    """Serves one dataset `doodles`.

    Args:
        samples: In it, all in the split `train`.
        port: Where to listen; 0 picks one.

    Attributes:
        requests: Every StreamBatchesRequest so far.
        faults: Each is taken by one StreamBatches call, first come first served; it may end the call.
        change_messages: Changes the messages of a chunk.
        serving: What it answers to health checks.
        paint: What all pixels are, though their checksum is right.
    """

    def __init__(self, samples: int = 1000, port: int = 0):
        self.samples = samples
        self.requests: list[pb.StreamBatchesRequest] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.change_messages: Callable[[list[bytes]], list[bytes]] = lambda messages: messages
        self.change_resolved: Callable[[pb.ResolvePipelineResponse], Any] = lambda response: None
        self.rotten_key_ids: set[int] = set()
        self.renderer = pb.Renderer(version=3, self_test_digest="5e1f")
        self.fingerprint = "f1"
        self.serving = True
        self.frozen = False
        self.paint: int | None = None
        self.probes = 0
        self.stalled = threading.Event()
        self._released: list[threading.Event] = []
        self.server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        unary = {
            "ListDatasets": (self.list_datasets, pb.ListDatasetsRequest),
            "GetDataset": (self.get_dataset, pb.GetDatasetRequest),
            "ResolvePipeline": (self.resolve_pipeline, pb.ResolvePipelineRequest),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                handler, request.FromString, lambda message: message.SerializeToString()
            )
            for name, (handler, request) in unary.items()
        }
        handlers["StreamBatches"] = grpc.unary_stream_rpc_method_handler(
            self.stream_batches, pb.StreamBatchesRequest.FromString
        )
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("inkstream.v1.BatchService", handlers),
                grpc.method_handlers_generic_handler(
                    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(self.check_health)}
                ),
            )
        )
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        self.server.start()

    def stop(self) -> None:
        self._release()
        self.server.stop(0).wait(10)

    def freeze(self) -> None:
        """Answers nothing any more, health checks neither, as a process does that is stopped."""
        self.frozen = True

    def thaw(self) -> None:
        """Goes on."""
        self.frozen = False
        self._release()

    def _release(self) -> None:
        for event in self._released:
            event.set()

    def _wait_if_frozen(self, context: grpc.ServicerContext) -> None:
        if self.frozen:
            self.stall(None, context)

    def stall(self, request: pb.StreamBatchesRequest | None, context: grpc.ServicerContext) -> None:
        """A fault: holds the call until it is cancelled or the server stops."""
        released = threading.Event()
        self._released.append(released)
        context.add_callback(released.set)
        self.stalled.set()
        released.wait(60)

    @staticmethod
    def refuse(
        context: grpc.ServicerContext, code: grpc.StatusCode, reason: str, text: str, *details: Any, **metadata: str
    ) -> None:
        """Ends a call with a status and details, as the contract says."""
        status = status_pb2.Status(code=code.value[0], message=text)
        info = error_details_pb2.ErrorInfo(reason=f"ERROR_REASON_{reason}", domain="inkstream", metadata=metadata)
        for detail in (info, *details):
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, text)

    @staticmethod
    def retry_info(seconds: float) -> error_details_pb2.RetryInfo:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(seconds * 1e9))
        return error_details_pb2.RetryInfo(retry_delay=delay)

    def expected(self, pipeline: Pipeline, epoch: int, step: int) -> dict[str, np.ndarray]:
        """The global batch that clients must get."""
        return expected_batch(pipeline, self.samples, epoch, step)

    def _dataset(self) -> pb.Dataset:
        return pb.Dataset(
            name="doodles",
            fingerprint=self.fingerprint,
            kind="drawing",
            samples=self.samples,
            classes=CLASSES,
            class_counts=[self.samples, 0, 0],
            splits=[pb.SplitSize(split=pb.SPLIT_TRAIN, samples=self.samples)],
        )

    def check_health(self, request: bytes, context: Any) -> bytes:
        self.probes += 1
        self._wait_if_frozen(context)
        return HEALTH[self.serving]

    def list_datasets(self, request: pb.ListDatasetsRequest, context: Any) -> pb.ListDatasetsResponse:
        return pb.ListDatasetsResponse(datasets=[self._dataset()], renderer=self.renderer)

    def get_dataset(self, request: pb.GetDatasetRequest, context: Any) -> pb.GetDatasetResponse:
        self._check_name(request.name, context)
        return pb.GetDatasetResponse(dataset=self._dataset(), renderer=self.renderer)

    def _check_name(self, name: str, context: Any) -> None:
        if name != "doodles":
            text = f"no dataset {name!r}; there is doodles"
            self.refuse(context, grpc.StatusCode.NOT_FOUND, "UNKNOWN_DATASET", text)

    def _pipeline(self, message: pb.Pipeline, context: Any) -> Pipeline:
        try:
            return messages.from_message(message)
        except InvalidPipeline as error:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=f"pipeline.{field}", description=rule)
                for field, rule in error.violations
            ]
            bad = error_details_pb2.BadRequest(field_violations=violations)
            self.refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", str(error), bad)
            raise AssertionError from error

    def _digest(self, pipeline: Pipeline) -> str:
        return messages.digest(pipeline, self.fingerprint, self.renderer.version)

    def resolve_pipeline(self, request: pb.ResolvePipelineRequest, context: Any) -> pb.ResolvePipelineResponse:
        pipeline = self._pipeline(request.pipeline, context)
        self._check_name(pipeline.dataset, context)
        if pipeline.split != "train":
            self.refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "EMPTY_SPLIT", f"0 samples in {pipeline.split}")
        size, channels, rows = pipeline.render.size, pipeline.render.channels, pipeline.batch_size
        shapes = {"image": [rows, size, size, channels], "label": [rows], "key_id": [rows], "mask": [rows]}
        samples = self.samples // rows * rows if pipeline.remainder == "drop" else self.samples
        paper = pipeline.render.paper_pixel
        response = pb.ResolvePipelineResponse(
            pipeline=messages.to_message(pipeline),
            digest=self._digest(pipeline),
            fingerprint=self.fingerprint,
            renderer=self.renderer,
            samples=samples,
            steps_per_epoch=-(-samples // rows),
            tensors=[
                pb.TensorSpec(name=name, dtype=DTYPES[name], shape=shape, paper=paper if name == "image" else b"")
                for name, shape in shapes.items()
            ],
            classes=CLASSES,
        )
        self.change_resolved(response)
        return response

    def stream_batches(self, request: pb.StreamBatchesRequest, context: Any) -> Iterator[bytes]:
        self.requests.append(request)
        pipeline = self._pipeline(request.pipeline, context)
        if request.fingerprint != self.fingerprint:
            text = f"dataset doodles has fingerprint {self.fingerprint} here, asked for is {request.fingerprint}"
            self.refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "FINGERPRINT_MISMATCH", text)
        if request.renderer != self.renderer:
            text = (
                f"this server draws with {renderer_info(self.renderer)}, the run with {renderer_info(request.renderer)}"
            )
            self.refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "DIGEST_MISMATCH", text)
        if request.digest != self._digest(pipeline):
            text = f"digest {request.digest} is asked for, this server has {self._digest(pipeline)}"
            self.refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "DIGEST_MISMATCH", text)
        if self.always is not None:
            self.always(request, context)
        fault = self.faults.popleft() if self.faults else None
        for step in range(request.first_step, request.first_step + request.steps):
            for messages_of_chunk in self._chunks(pipeline, request, step, context):
                self._wait_if_frozen(context)
                yield from self.change_messages(messages_of_chunk)
                if fault is not None:  # after the first chunk, so that something was delivered
                    fault(request, context)
                    fault = None

    def _chunks(
        self, pipeline: Pipeline, request: pb.StreamBatchesRequest, step: int, context: Any
    ) -> Iterator[list[bytes]]:
        batch = expected_batch(pipeline, self.samples, request.epoch, step)
        batch_rows = len(batch["label"])
        row_bytes = batch["image"][0].nbytes
        rows = shard_rows(batch_rows, request.shard.index, request.shard.count or 1)
        compressed = request.compression not in (pb.COMPRESSION_UNSPECIFIED, pb.COMPRESSION_NONE)
        spans = chunk_rows(rows, row_bytes, compressed)
        chosen = spans[request.first_chunk :]
        if request.chunks:
            chosen = chosen[: request.chunks]
        for span in chosen:
            yield self._encode(pipeline, request, step, span, batch_rows, batch, context)

    def _encode(
        self,
        pipeline: Pipeline,
        request: pb.StreamBatchesRequest,
        step: int,
        span: Span,
        batch_rows: int,
        batch: dict[str, np.ndarray],
        context: Any,
    ) -> list[bytes]:
        tensors = {name: values[span.start : span.stop].copy() for name, values in batch.items()}
        rotten = [index for index, key in enumerate(tensors["key_id"]) if int(key) in self.rotten_key_ids]
        if rotten and request.rotten_record != pb.ROTTEN_RECORD_BLANK:
            key_id = str(tensors["key_id"][rotten[0]])
            self.refuse(
                context, grpc.StatusCode.DATA_LOSS, "ROTTEN_DATA", f"rotten: {key_id}", dataset="doodles", key_id=key_id
            )
        for row in rotten:
            tensors["image"][row] = np.frombuffer(pipeline.render.paper_pixel, np.uint8)
            tensors["mask"][row] = 0
        if self.paint is not None:
            tensors["image"][...] = self.paint
        checksum = wire.checksum(request.epoch, step, span.start, span.size, tensors)
        return encode_chunk(
            request.epoch,
            step,
            span.start,
            span.size,
            batch_rows,
            [self._wire_tensor(name, values, request.compression, pipeline) for name, values in tensors.items()],
            checksum,
            [int(tensors["key_id"][row]) for row in rotten],
        )

    def _wire_tensor(self, name: str, values: np.ndarray, compression: int, pipeline: Pipeline) -> wire.WireTensor:
        data, used = values.tobytes(), pb.COMPRESSION_NONE
        if name == "image" and compression == pb.COMPRESSION_SPARSE_WORDS:
            encoded = encode_sparse_words(data, pipeline.render.paper_pixel)
        elif name == "image" and compression == pb.COMPRESSION_ZSTD:
            import zstandard

            encoded = zstandard.ZstdCompressor(1).compress(data)
        else:
            encoded = data
        if len(encoded) < len(data):
            data, used = encoded, compression
        return wire.WireTensor(name, values.dtype, values.shape, used, data)


def check_all(stream: inkstream.Stream, server: FakeServer, asked: Pipeline) -> inkstream.StreamStats:
    """Reads a stream of whole batches to the end of its one epoch and compares every batch; closes it."""
    steps = []
    with stream:
        for batch in stream:
            for name, values in server.expected(asked, batch.epoch, batch.step).items():
                assert np.array_equal(batch[name], values)
            steps.append(batch.step)
    assert steps == list(range(-(-server.samples // asked.batch_size)))
    return stream.stats()
