"""`serve --warm`: health checks and calls while datasets are being read, with a real server."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from batch_server.memory_limits import MemoryLimit, size_text
from batch_server.serving import preparation
from batch_server.serving.server import BatchServer, ServerSettings
from inkstream.status import error_from_rpc
from inkstream.v1 import batch_service_pb2 as pb

TIMEOUT_S = 60


class Loading:
    """A server whose reading goes on only when it is let."""

    def __init__(self, data: Path):
        self.server = BatchServer(ServerSettings(data, "127.0.0.1:0", 1, 64 << 20, 0, 4, warm=True))
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.told: list[tuple[str, int, int]] = []
        self._thread = threading.Thread(target=self.server.load, args=(self._tell,))
        self._thread.start()
        assert self.reading.wait(TIMEOUT_S)

    def finish(self) -> None:
        self.go_on.set()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()

    def health(self) -> str:
        with grpc.insecure_channel(self.server.address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="inkstream.v1.BatchService"), timeout=TIMEOUT_S
            )
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def _tell(self, *progress: Any) -> None:
        self.told.append(progress)
        self.reading.set()
        assert self.go_on.wait(TIMEOUT_S)


@pytest.fixture
def loading(sketches: Path) -> Iterator[Loading]:
    loading = Loading(sketches)
    yield loading
    loading.finish()
    loading.server.stop()


def test_health_checks_say_when_the_datasets_are_read(loading: Loading, call: Callable[..., Any]) -> None:
    assert loading.health() == "NOT_SERVING"
    caller = call(loading.server.address)
    for refused in (
        lambda: caller.resolve(pb.Pipeline(dataset="sketches", batch_size=8)),
        lambda: list(caller.stream(pb.StreamBatchesRequest())),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            refused()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "is reading its datasets" in str(caught.value.details())
        assert error_from_rpc(caught.value, "here").retry_after_s == 1.0
    loading.finish()
    assert loading.health() == "NOT_SERVING"
    loading.server.start()
    assert loading.health() == "SERVING"
    assert sum(chunk.rows for chunk in caller.chunks(caller.request())) > 0
    size_bytes = loading.server.catalog.by_name("sketches").dataset.used_bytes
    assert loading.told[0] == ("reading sketches", 0, size_bytes)
    assert loading.told[-1] == ("reading sketches", size_bytes, size_bytes)


def test_a_signal_ends_reading(sketches: Path) -> None:
    server = BatchServer(ServerSettings(sketches, "127.0.0.1:0", 1, 64 << 20, 0, 4, warm=True))

    def terminated(*progress: Any) -> None:
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        server.load(terminated)
    with pytest.raises(grpc.RpcError), grpc.insecure_channel(server.address) as channel:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)


def test_a_dataset_that_comes_later_is_read_before_it_is_served(
    tmp_path: Path, write_dataset: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    server = BatchServer(ServerSettings(tmp_path, "127.0.0.1:0", 1, 64 << 20, 0, 4, warm=True))
    with caplog.at_level(logging.INFO, logger="batch_server.serving"):
        try:
            server.load()
            server.start()
            write_dataset(tmp_path / "late.lmdb")
            server.catalog.look()
        finally:
            server.stop()
    said = [record.getMessage() for record in caplog.records]
    read = next(i for i, line in enumerate(said) if line.startswith("dataset late: read in"))
    assert read < next(i for i, line in enumerate(said) if line.startswith("dataset late: 500 samples"))


def test_it_is_said_when_a_dataset_does_not_fit(
    tmp_path: Path,
    write_dataset: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(preparation, "memory_limit", lambda: MemoryLimit(500_000_000, of_container=True))
    write_dataset(tmp_path / "large.lmdb")
    server = BatchServer(ServerSettings(tmp_path, "127.0.0.1:0", 1, 512 << 20, 0, 4, warm=True))
    with caplog.at_level(logging.INFO, logger="batch_server.serving"):
        try:
            server.load()
        finally:
            server.stop()
    assert not server.catalog.by_name("large").dataset.file.fits_memory
    text, size_bytes = caplog.text, server.catalog.by_name("large").dataset.used_bytes
    shortage = f"{size_text(size_bytes)} of datasets do not fit into memory: this container has 500.0 MB"
    assert f"dataset large: {shortage}" in text
    assert "dataset large: reading its columns and offsets into memory" in text
