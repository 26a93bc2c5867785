"""What a run is doing, as Prometheus metrics on a port of its own. `docs/operations.md` explains each metric."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from inkstream.http_port import NOT_FOUND, Answer, HttpPort, Request
from inkstream.listening import ListenAddress
from inkstream.stats import StreamStats

_PREFIX = "inkstream_trainer"
# Names of the metrics, of what they are read from, and what they say.
_STEP_SUMS = (
    ("samples", "samples", "Samples trained on by this process's steps, all devices together."),
    ("step_seconds", "seconds", "Seconds that steps took, waiting for data included."),
    ("data_wait_seconds", "data_wait_s", "Seconds for which steps waited for data."),
)
_LAST_STEP = (
    ("step", "step", "Steps done, those before a resumption included."),
    ("epoch", "epoch", "Epoch of the last step, from 0."),
    ("loss", "loss", "Loss of the last step."),
    ("accuracy", "accuracy", "Share of the last step's samples that were guessed right."),
    ("learning_rate", "learning_rate", "Learning rate of the last step."),
)
_STREAM_NOW = (("stream_ready_batches", "ready_batches", "Batches that are whole and wait for the input thread."),)
_STREAM_COUNTS = (
    ("stream_batches", "batches", "Batches that the stream handed out."),
    ("stream_rows", "rows", "Rows in them."),
    ("stream_wait_seconds", "wait_s", "Seconds for which the input thread waited for the stream."),
    ("stream_ranges", "ranges", "Ranges that were begun."),
    ("stream_duplicate_chunks", "duplicate_chunks", "Chunks that came from two servers; they were equal."),
    ("stream_blank_rows", "blank_rows", "Rows left blank, because every server found their record rotten."),
)
_SERVER_COUNTS = (
    ("server_chunks", "chunks", "Chunks that a server delivered."),
    ("server_rows", "rows", "Rows in them."),
    ("server_received_bytes", "wire_bytes", "Bytes of a server's messages."),
    ("server_failures", "failures", "Attempts at a server that failed."),
    ("server_hedges", "hedges", "Second copies of late ranges that a server was asked for."),
    ("server_moves", "moves", "Ranges that were taken from a server because it did not answer."),
    ("server_wait_seconds", "wait_s", "Seconds for which reading threads waited for a server's messages."),
    ("server_decode_seconds", "decode_s", "Seconds for which they read and decoded them."),
)


class RunFigures(Collector):
    """The figures of one run; threads may write and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._about: dict[str, str] = {}
        self._stats: Callable[[], StreamStats] = StreamStats
        self._steps = 0
        self._sums = {attribute: 0.0 for _, attribute, _ in _STEP_SUMS}
        self._last: Mapping[str, Any] = {}

    def begin(self, about: Mapping[str, str], stats: Callable[[], StreamStats]) -> None:
        """The run begins to train.

        Args:
            about: What tells it from other runs; a label each.
            stats: Returns what its stream of training batches has done so far.
        """
        with self._lock:
            self._about, self._stats = dict(about), stats

    def add_step(self, row: Mapping[str, Any]) -> None:
        """A step is done.

        Args:
            row: As in the run's log, by `trainer.records.logs.STEP_COLUMNS`.
        """
        with self._lock:
            self._steps += 1
            for attribute in self._sums:
                self._sums[attribute] += row[attribute]
            self._last = row

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not collect only to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures of now."""
        with self._lock:
            about, steps, sums, last, stats = self._about, self._steps, dict(self._sums), self._last, self._stats()
        yield InfoMetricFamily(_PREFIX, "What the run is.", about)
        yield CounterMetricFamily(f"{_PREFIX}_steps", "Steps that this process has done.", steps)
        for name, attribute, text in _STEP_SUMS:
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, sums[attribute])
        for name, attribute, text in _LAST_STEP if last else ():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, last[attribute])
        for name, attribute, text in _STREAM_NOW:
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, getattr(stats, attribute))
        for name, attribute, text in _STREAM_COUNTS:
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, getattr(stats, attribute))
        for name, attribute, text in _SERVER_COUNTS:
            counter = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=["server"])
            for address, server in stats.servers.items():
                counter.add_metric([address], getattr(server, attribute))
            yield counter


@contextmanager
def metrics_port(listen: ListenAddress | None) -> Iterator[RunFigures]:
    """Shows the figures of a run at `/metrics`, and says where on standard output.

    Args:
        listen: Where; None counts, and shows nothing.

    Raises:
        Failure: The address cannot be listened on.
    """
    figures = RunFigures()
    if listen is None:
        yield figures
        return
    registry = CollectorRegistry()
    registry.register(figures)
    ProcessCollector(registry=registry)

    def answer(request: Request) -> Answer:
        if request.path != "/metrics":
            return NOT_FOUND
        return Answer(CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))

    port = HttpPort(listen, answer)
    port.start()
    try:
        print(f"metrics on {port.address}", flush=True)
        yield figures
    finally:
        port.stop()
