"""`batch-server serve` as a process: usage, signals, exit codes, memory."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from batch_server.cli import main
from inkstream.v1 import batch_service_pb2 as pb

# Of streams that nobody reads; an epoch of 500 drawings is 2.4 GB.
LARGE = pb.Pipeline(dataset="sketches", batch_size=500, render=pb.Render(size=1280, encoding=pb.ENCODING_RAINBOW))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere"], "--data must be a folder, nowhere is none"),
        (["--data", ".", "--listen", "0.0.0.0:0"], "add --insecure"),
        (["--data", ".", "--listen", "[::]:0"], "add --insecure"),
        (["--data", ".", "--listen", "localhost"], "must be HOST:PORT"),
        (["--data", ".", "--listen", "127.0.0.1:65536"], "port from 0 to 65535"),
        (["--data", ".", "--listen", ":50051"], "must be HOST:PORT"),
        (["--data", ".", "--listen", "::1:0"], "brackets around an IPv6 address, as in [::1]:50051, got '::1:0'"),
        (["--data", ".", "--listen", "::1"], "brackets around an IPv6 address"),
        (["--data", ".", "--listen", "no.such.host.invalid:1"], "is unknown"),
        (["--data", ".", "--metrics", "9090"], "--metrics must be HOST:PORT"),
        (["--data", ".", "--memory", "63"], "--memory must be at least 64 MiB, got 63"),
        (["--data", ".", "--cache", "-1"], "must be a whole number of at least 0, got -1"),
        (["--data", ".", "--threads", "0"], "must be a whole number of at least 1, got 0"),
        (["--data", ".", "--max-streams", "many"], "must be a whole number of at least 1"),
        (["--data", ".", "--drain-delay", "-1"], "from 0 to 86400"),
        ([], "--data"),
    ],
)
def test_wrong_usage_is_refused_with_the_remedy(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *words]) == 2
    assert said in capsys.readouterr().err


def test_an_address_in_use_is_a_clear_failure(sketches: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "batch_server", "serve", "--data", str(sketches), "--listen", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"batch-server: cannot listen on {address}: the address is in use, or not this machine's"
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_container_needs_no_arguments(sketches: Path, start_server: Callable[..., Any]) -> None:
    settings = {"INKSTREAM_INSECURE": "true", "INKSTREAM_DRAIN_DELAY": "0", "INKSTREAM_METRICS": "127.0.0.1:0"}
    server = start_server(sketches, listen="0.0.0.0:0", env=settings)
    assert server.address.startswith("0.0.0.0:") and not server.address.endswith(":0")
    metrics = server.process.stdout.readline().removeprefix("metrics on ").strip()
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=60) as answer:
        assert b"inkstream_server_threads" in answer.read()
    assert server.stop(signal.SIGTERM) == 0


def test_warm_datasets_are_read_first(sketches: Path, start_server: Callable[..., Any], tmp_path: Path) -> None:
    with open(tmp_path / "log", "w+") as log:
        server = start_server(sketches, stderr=log, env={"INKSTREAM_WARM": "true", "INKSTREAM_DRAIN_DELAY": "0"})
        assert server.stop(signal.SIGTERM) == 0
        log.seek(0)
        said = log.read()
    assert said.index("dataset sketches: reading") < said.index("dataset sketches: read in")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_range_ends_before_the_server_does(
    sketches: Path, start_server: Callable[..., Any], call: Callable[..., Any], sent: signal.Signals, code: int
) -> None:
    server = start_server(sketches, "--threads", "1", "--drain-delay", "0.1")
    caller = call(server.address)
    asked = pb.Pipeline(dataset="sketches", split=pb.SPLIT_ALL, batch_size=500, render=pb.Render(size=256))
    stream = caller.stream(caller.request(asked))
    rows = next(stream).chunk.rows
    server.process.send_signal(sent)
    rows += sum(message.chunk.rows for message in stream)
    assert rows == 500
    assert server.process.wait(30) == code


def test_a_second_signal_stops_at_once(
    sketches: Path, start_server: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = start_server(sketches, "--drain-delay", "1000", "--drain-grace", "1000")
    caller = call(server.address)
    stream = caller.stream(caller.request(LARGE))
    next(stream)
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as refused:  # so the first signal has arrived
        while True:
            list(caller.stream(caller.request(pb.Pipeline(dataset="sketches", batch_size=500))))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 143
    with pytest.raises(grpc.RpcError):
        list(stream)


def anonymous_mib(process_id: int) -> int:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) >> 10
    raise AssertionError("no RssAnon")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_stalled_clients_do_not_grow_the_servers_memory(
    sketches: Path, start_server: Callable[..., Any], call: Callable[..., Any]
) -> None:
    server = start_server(sketches, "--threads", "2", "--memory", "64", "--max-streams", "12")
    caller = call(server.address)
    request = caller.request(LARGE)
    list(caller.stream(caller.request(LARGE, steps=1, chunks=4)))  # what drawing at this size needs once
    before = anonymous_mib(server.process.pid)
    stalled = [caller.stream(request) for _ in range(8)]
    for stream in stalled:
        next(stream)
    # Each of these rows is 4.9 MB; 8 streams of 500 would be 19 GB.
    small = caller.request(pb.Pipeline(dataset="sketches", batch_size=100))
    for _ in range(3):
        assert sum(message.chunk.rows for message in caller.stream(small)) > 400
    grown = anonymous_mib(server.process.pid) - before
    # The budget, and for each stream the two or three messages of 3 MiB that gRPC holds.
    assert grown < 64 + 8 * 10
    for stream in stalled:
        stream.cancel()
