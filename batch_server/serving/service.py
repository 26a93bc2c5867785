"""The four calls of BatchService. The server keeps nothing about a client: every answer follows from its request."""

import functools
import itertools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import grpc

from batch_server.batches import BatchMaker, tensor_specs
from batch_server.rendering import RENDERER_VERSION
from batch_server.serving.activity import Activity
from batch_server.serving.admission import Admission, CallLimit
from batch_server.serving.catalog import Catalog, Served
from batch_server.serving.chunk_cache import ChunkCache
from batch_server.serving.errors import DigestMismatch, FingerprintMismatch, failures_as_statuses
from batch_server.serving.figures import RangeOf, SentRows, WaitingFor
from batch_server.serving.prefetch import Prefetch
from batch_server.serving.range_jobs import Piece, jobs_of, pieces_of, plan_of
from batch_server.serving.read_ahead import ReadAhead
from batch_server.serving.requests import RangeRequest, check_position, parse, parse_pipeline, parse_range
from batch_server.store.errors import RottenColumn
from inkstream.descriptions import renderer_info
from inkstream.errors import UnknownDataset
from inkstream.messages import digest, to_message
from inkstream.pipeline import SPLITS, Pipeline
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.wire import DTYPES

_LOG = logging.getLogger(__name__)

SERVICE_NAME: str = pb.DESCRIPTOR.services_by_name["BatchService"].full_name

_DTYPE_NUMBERS: dict[Any, Any] = {dtype: number for number, dtype in DTYPES.items()}
_SPLITS: dict[str, Any] = {name: pb.Split.Value(f"SPLIT_{name.upper()}") for name in SPLITS}


class BatchService:
    """Answers the four calls.

    Args:
        catalog: The datasets.
        admission: Who may stream.
        calls: How many other calls there may be.
        chunks: Where chunks are made and shared.
        self_test_digest: Of the batch that this server drew when it started.
        activity: Where it is counted what the service does.
        read_ahead: Has records read before they are drawn.
    """

    def __init__(
        self,
        catalog: Catalog,
        admission: Admission,
        calls: CallLimit,
        chunks: ChunkCache,
        self_test_digest: str,
        activity: Activity,
        read_ahead: ReadAhead,
    ):
        self._catalog, self._admission, self._calls, self._chunks = catalog, admission, calls, chunks
        self._activity, self._read_ahead = activity, read_ahead
        self._renderer = pb.Renderer(version=RENDERER_VERSION, self_test_digest=self_test_digest)

    def list_datasets(self, serialized: bytes) -> pb.ListDatasetsResponse:
        """All datasets; one with a rotten column is listed without the sizes of its splits."""
        parse(pb.ListDatasetsRequest, serialized)
        response = pb.ListDatasetsResponse(renderer=self._renderer)
        for name in self._catalog.names():
            try:
                served = self._catalog.by_name(name)
            except UnknownDataset:  # gone since its name was read
                continue
            try:
                response.datasets.append(_describe(name, served, served.split_samples))
            except RottenColumn as error:
                _LOG.error("%s", error)
                response.datasets.append(_describe(name, served, {}))
        return response

    def get_dataset(self, serialized: bytes) -> pb.GetDatasetResponse:
        """One dataset."""
        name = parse(pb.GetDatasetRequest, serialized).name
        served = self._catalog.by_name(name)
        return pb.GetDatasetResponse(dataset=_describe(name, served, served.split_samples), renderer=self._renderer)

    def resolve_pipeline(self, serialized: bytes) -> pb.ResolvePipelineResponse:
        """What a pipeline yields with the data that its dataset's name stands for now."""
        request = parse(pb.ResolvePipelineRequest, serialized)
        pipeline = parse_pipeline(request.pipeline, request.HasField("pipeline"))
        dataset = self._catalog.by_name(pipeline.dataset).dataset
        plan = BatchMaker(dataset, pipeline).epoch_plan
        return pb.ResolvePipelineResponse(
            pipeline=to_message(pipeline),
            digest=digest(pipeline, dataset.fingerprint, RENDERER_VERSION),
            fingerprint=dataset.fingerprint,
            renderer=self._renderer,
            samples=plan.samples,
            steps_per_epoch=plan.steps_per_epoch,
            tensors=[
                pb.TensorSpec(
                    name=spec.name,
                    dtype=_DTYPE_NUMBERS[spec.dtype],
                    shape=(pipeline.batch_size, *spec.row_shape),
                    paper=spec.paper,
                )
                for spec in tensor_specs(pipeline.render)
            ],
            classes=dataset.classes,
        )

    def stream_batches(self, serialized: bytes, context: Any) -> Iterator[bytes]:
        """The chunks of a range, in order, made ahead of the client within bounds."""
        with failures_as_statuses(context, self._activity.failed), self._admission.stream(context.cancel) as stream:
            request = parse_range(serialized)
            maker = self._maker(request)
            plan = plan_of(maker, request)
            check_position(request, plan)
            with self._activity.range(_range_of(request, maker, context.peer())) as meter:
                prefetch = Prefetch(self._chunks, self._admission.cancel_stalled, turn=meter.turn)
                if not context.add_callback(prefetch.close):
                    return  # the client has left
                try:
                    pieces, ahead = itertools.tee(pieces_of(plan, request))
                    made = prefetch.in_order(jobs_of(maker, plan, request, ahead, meter.drawing, self._read_ahead.ask))
                    for messages, piece in zip(made, pieces, strict=True):
                        meter.turn(WaitingFor.CLIENT)
                        for message in messages:
                            with stream.sending(len(message)):
                                yield message
                        meter.turn(WaitingFor.NOTHING)
                        meter.sent(_sent_rows(request, piece), sum(map(len, messages)), ends_batch=piece.ends_batch)
                    meter.sent_range()
                except CancelledError:
                    return  # the client has left, or the server has ended the call
                finally:
                    prefetch.close()

    def handlers(self) -> Any:
        """The gRPC handler of the service. Messages are bytes in both directions, so that a tensor is not copied."""
        unary: dict[str, Callable[[bytes], Any]] = {
            "ListDatasets": self.list_datasets,
            "GetDataset": self.get_dataset,
            "ResolvePipeline": self.resolve_pipeline,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(functools.partial(self._call, run)) for name, run in unary.items()
        }
        handlers["StreamBatches"] = grpc.unary_stream_rpc_method_handler(self.stream_batches)
        return grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)

    def _call(self, run: Callable[[bytes], Any], serialized: bytes, context: Any) -> bytes:
        with failures_as_statuses(context, self._activity.failed), self._calls.place():
            self._admission.check_started()
            answer: bytes = run(serialized).SerializeToString()
            return answer

    def _maker(self, request: RangeRequest) -> BatchMaker:
        """The maker for a range, from the dataset with its fingerprint.

        Raises:
            UnknownDataset: No dataset has the name or the fingerprint.
            FingerprintMismatch: The dataset of this name holds other data.
            DigestMismatch: This server would draw other batches.
        """
        pipeline, fingerprint = request.pipeline, request.fingerprint
        served = self._catalog.by_fingerprint(fingerprint, pipeline.dataset)
        if served is None:
            found = self._catalog.by_name(pipeline.dataset).dataset.fingerprint
            raise FingerprintMismatch(
                f"dataset {pipeline.dataset} has fingerprint {found} here, asked for is {fingerprint[:64]}: start the "
                "run anew, or give this server the data it began with"
            )
        renderer = renderer_info(self._renderer)
        if request.renderer not in (None, renderer):
            raise DigestMismatch(
                f"this server draws with {renderer}, the run with {request.renderer}: run servers of one version of "
                "Inkstream, with the pinned requirements"
            )
        own = _digest_of(pipeline, fingerprint)
        if own != request.digest:
            raise DigestMismatch(
                f"this server draws this pipeline as {own} (renderer version {RENDERER_VERSION}), asked for is "
                f"{request.digest[:64]}: run servers and trainers of one version of Inkstream"
            )
        return BatchMaker(served.dataset, pipeline)


@functools.lru_cache(16)
def _digest_of(pipeline: Pipeline, fingerprint: str) -> str:
    """What every range of a stream names; to compute it takes 0.06 ms."""
    return digest(pipeline, fingerprint, RENDERER_VERSION)


def _describe(name: str, served: Served, split_samples: dict[str, int]) -> pb.Dataset:
    dataset = served.dataset
    return pb.Dataset(
        name=name,
        fingerprint=dataset.fingerprint,
        kind=dataset.kind,
        samples=dataset.samples,
        classes=dataset.classes,
        class_counts=dataset.class_counts,
        splits=[pb.SplitSize(split=_SPLITS[split], samples=samples) for split, samples in split_samples.items()],
    )


def _range_of(request: RangeRequest, maker: BatchMaker, peer: str) -> RangeOf:
    pipeline, render = request.pipeline, request.pipeline.render
    about = f"{pipeline.split}, {pipeline.batch_size:,} x {render.size} px, {render.encoding}, seed {pipeline.seed}"
    return RangeOf(
        peer=peer,
        stream_id=request.stream_id,
        dataset=maker.dataset.name,
        digest=request.digest,
        about=about,
        shard=request.shard,
        demand_rows_per_s=request.demand_rows_per_s,
    )


def _sent_rows(request: RangeRequest, piece: Piece) -> SentRows:
    return SentRows(request.pipeline, request.fingerprint, request.epoch, piece.step, piece.rows)
