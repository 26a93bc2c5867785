"""The server's figures as Prometheus metrics, read from plain counters when they are asked for.

Labels are names of datasets that the folder holds or held, reasons of the contract, and what streams wait for: clients
cannot make series. `docs/operations.md` explains each metric.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from batch_server.rendering import RENDERER_VERSION
from batch_server.serving.catalog import Catalog
from batch_server.serving.chunk_cache import CacheSnapshot
from batch_server.serving.demand import DemandReport
from batch_server.serving.figures import DatasetCounts
from batch_server.serving.server import BatchServer
from inkstream.errors import UnknownDataset
from inkstream.v1 import batch_service_pb2 as pb

_PREFIX = "inkstream_server"
_COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("ranges", "ranges", "Ranges of steps sent whole."),
    ("batches", "batches", "Batches sent whole, or the whole of a shard's rows of one."),
    ("chunks", "chunks", "Chunks sent."),
    ("rows", "rows", "Rows sent, drawn for it or taken from the cache."),
    ("sent_bytes", "sent_bytes", "Bytes of messages handed to the network."),
    ("drawn_chunks", "drawn_chunks", "Chunks drawn."),
    ("drawn_rows", "drawn_rows", "Rows drawn."),
    ("render_seconds", "render_s", "Seconds for which render threads were busy."),
)
_REASONS = [name.removeprefix("ERROR_REASON_") for name in pb.ErrorReason.keys()[1:]]  # without "unspecified"


def registry_of(server: BatchServer) -> CollectorRegistry:
    """A registry of this server alone: with its figures and those of its process."""
    registry = CollectorRegistry()
    registry.register(ServerCollector(server))
    ProcessCollector(registry=registry)
    return registry


class ServerCollector(Collector):
    """Collects a server's figures."""

    def __init__(self, server: BatchServer):
        self._server = server

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not collect only to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        server = self._server
        renderer = {"renderer_version": str(RENDERER_VERSION), "self_test_digest": server.self_test_digest}
        yield InfoMetricFamily(_PREFIX, "What draws the batches.", renderer)
        yield _gauge("threads", "Threads that draw.", server.threads)
        yield _gauge("streams", "Ranges being answered now.", server.admission.streams)
        yield _gauge("streams_limit", "Ranges that can be answered at a time.", server.admission.max_streams)
        text = "Ranges ended because their clients stood still and their room was needed."
        yield CounterMetricFamily(f"{_PREFIX}_ended_streams", text, server.admission.ended_streams)
        yield _gauge("memory_bytes", "Bytes of chunks being drawn or waiting to be sent.", server.budget.taken_bytes)
        yield _gauge("memory_limit_bytes", "Bytes that they may take at most.", server.budget.total_bytes)
        yield from _cache(server.chunks.snapshot())
        yield from _demand(server.activity.demand(), server.threads)
        yield _samples(server.catalog)
        yield from _counts(server.activity.datasets())
        failures = CounterMetricFamily(f"{_PREFIX}_failed_calls", "Calls that ended with an error.", labels=["reason"])
        counted = server.activity.failures()
        for reason in _REASONS:  # those too that never came up: a rate needs a beginning
            failures.add_metric([reason], counted.get(reason, 0))
        yield failures


def _cache(cache: CacheSnapshot) -> Iterator[Metric]:
    chunks = CounterMetricFamily(
        f"{_PREFIX}_asked_chunks", "Chunks that ranges asked for, by where they came from.", labels=["source"]
    )
    chunks.add_metric(["cache"], cache.hits)
    chunks.add_metric(["another_stream"], cache.awaited)
    chunks.add_metric(["drawing"], cache.misses)
    yield chunks
    text = "Kept chunks that made room for others."
    yield CounterMetricFamily(f"{_PREFIX}_cache_evictions", text, cache.evictions)
    yield _gauge("cache_bytes", "Bytes of chunks that no stream holds, kept for others.", cache.kept_bytes)


def _demand(demand: DemandReport, threads: int) -> Iterator[Metric]:
    yield _gauge("demanding_streams", "Streams that said in the last 30 s what they could take.", demand.streams)
    text = "Rows per second that they could take from this server."
    yield _gauge("demand_rows_per_second", text, demand.rows_per_s)
    text = "Servers like this one that its share of the demand needs; the sum over servers is the number needed."
    yield _gauge("needed", text, demand.threads / threads)


def _samples(catalog: Catalog) -> Metric:
    samples = GaugeMetricFamily(f"{_PREFIX}_dataset_samples", "Samples of a dataset served.", labels=["dataset"])
    for name in catalog.names():
        try:
            samples.add_metric([name], catalog.by_name(name).dataset.samples)
        except UnknownDataset:  # gone since its name was read
            continue
    return samples


def _counts(datasets: dict[str, DatasetCounts]) -> Iterator[Metric]:
    for name, attribute, text in _COUNTERS:
        counter = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=["dataset"])
        for dataset, counts in sorted(datasets.items()):
            counter.add_metric([dataset], getattr(counts, attribute))
        yield counter
    waits = CounterMetricFamily(
        f"{_PREFIX}_stream_seconds",
        "Seconds for which ranges were being answered, by what they waited for.",
        labels=["dataset", "waiting_for"],
    )
    for dataset, counts in sorted(datasets.items()):
        for what, seconds in counts.stream_s.items():
            waits.add_metric([dataset, what], seconds)
    yield waits


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value)
