"""The metrics port of a real server: figures equal to what was streamed, and nothing for outsiders."""

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import inkstream
from batch_server.serving.metrics_port import may_see_all, metrics_port
from batch_server.serving.server import BatchServer
from batch_server.serving.tls import ServerCertificate
from batch_server.serving.tokens import TokenFile
from inkstream.http_port import HttpPort, Request
from inkstream.listening import ListenAddress
from inkstream.v1 import batch_service_pb2 as pb

TIMEOUT_S = 60
TOKEN = "a-token-of-more-than-16"

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def watch() -> Iterator[Callable[..., HttpPort]]:
    """Opens the metrics port of a server: `watch(server)`."""
    ports: list[HttpPort] = []

    def start(server: BatchServer, host: str = "127.0.0.1", **options: Any) -> HttpPort:
        ports.append(metrics_port(server, ListenAddress(host, 0), **options))
        ports[-1].start()
        return ports[-1]

    yield start
    for port in ports:
        port.stop()


def get(address: str, path: str, **headers: str) -> bytes:
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read()
    return body


def scrape(port: HttpPort) -> Figures:
    # Whatever is asked for, the answer is the one format that every scraper takes.
    accept = {"Accept": "application/openmetrics-text; version=abc"}
    families = text_string_to_metric_families(get(port.address, "/metrics", **accept).decode())
    return {
        (sample.name.removeprefix("inkstream_server_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline


def of(figures: Figures, name: str, **labels: str) -> float:
    return figures[name, frozenset(labels.items())]


def test_figures_are_what_was_streamed(serve: Callable[..., Any], watch: Callable[..., HttpPort]) -> None:
    server = serve()
    port = watch(server)
    pipeline = inkstream.Pipeline(dataset="sketches", batch_size=60, render=inkstream.Render(size=32))
    client = inkstream.connect(server.address)
    with client, client.stream(pipeline, epochs=1) as stream:
        rows = sum(len(batch["label"]) for batch in stream)
        stats = stream.stats()
    figures = scrape(port)
    assert of(figures, "rows_total", dataset="sketches") == rows == stats.rows
    assert of(figures, "batches_total", dataset="sketches") == stats.batches
    assert of(figures, "chunks_total", dataset="sketches") == stats.servers[server.address].chunks
    assert of(figures, "sent_bytes_total", dataset="sketches") == stats.wire_bytes
    assert of(figures, "drawn_rows_total", dataset="sketches") == rows
    assert of(figures, "dataset_samples", dataset="sketches") == 500
    assert of(figures, "render_seconds_total", dataset="sketches") > 0
    assert of(figures, "streams") == 0
    assert of(figures, "memory_limit_bytes") == server.budget.total_bytes
    assert of(figures, "threads") == 2


def test_a_shard_and_a_part_of_a_step_count_what_they_are(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort]
) -> None:
    server = serve()
    caller, port = call(server.address), watch(server)
    large = pb.Pipeline(dataset="sketches", batch_size=200, render=pb.Render(size=256))
    chunks = caller.chunks(caller.request(large, steps=1, shard=pb.Shard(index=1, count=2)))
    figures = scrape(port)
    assert of(figures, "rows_total", dataset="sketches") == sum(chunk.rows for chunk in chunks) == 100
    assert of(figures, "chunks_total", dataset="sketches") == len(chunks) > 1
    assert of(figures, "batches_total", dataset="sketches") == of(figures, "ranges_total", dataset="sketches") == 1
    caller.chunks(caller.request(large, steps=1, first_chunk=0, chunks=1))
    figures = scrape(port)
    assert of(figures, "batches_total", dataset="sketches") == 1  # the rest of that batch was not asked for
    assert of(figures, "ranges_total", dataset="sketches") == 2


def test_a_second_trainer_is_served_from_the_cache(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort]
) -> None:
    server = serve()
    caller, port = call(server.address), watch(server)
    first = caller.chunks(caller.request())
    assert caller.chunks(caller.request()) == first
    figures = scrape(port)
    assert of(figures, "asked_chunks_total", source="drawing") == len(first)
    assert of(figures, "asked_chunks_total", source="cache") == len(first)
    assert of(figures, "rows_total", dataset="sketches") == 2 * of(figures, "drawn_rows_total", dataset="sketches")
    assert of(figures, "cache_bytes") == server.chunks.snapshot().kept_bytes > 0


def test_demand_becomes_servers_needed(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort]
) -> None:
    server = serve(threads=2)
    caller, port = call(server.address), watch(server)
    caller.chunks(caller.request(stream_id=7, demand_rows_per_s=30_000.0))
    caller.chunks(caller.request(stream_id=8, demand_rows_per_s=12_000.0))
    figures = scrape(port)
    assert of(figures, "demanding_streams") == 2
    assert of(figures, "demand_rows_per_second") == 42_000
    drawn_s = of(figures, "render_seconds_total", dataset="sketches")
    # Drawing fades a little more than sending, which comes later: by half in 15 s, so by little even on a slow machine.
    expected = 42_000 * drawn_s / of(figures, "rows_total", dataset="sketches") / 2
    assert of(figures, "needed") == pytest.approx(expected, rel=0.5)


def test_a_trainer_of_ours_says_what_it_could_take(serve: Callable[..., Any], watch: Callable[..., HttpPort]) -> None:
    server = serve()
    port = watch(server)
    pipeline = inkstream.Pipeline(dataset="sketches", batch_size=60, render=inkstream.Render(size=32))
    with inkstream.connect(server.address) as client, client.stream(pipeline, epochs=12) as stream:
        for _ in stream:
            done = time.monotonic() + 0.002
            while time.monotonic() < done:  # at work for 2 ms, so it could take at most 30,000 rows per second
                pass
    figures = scrape(port)
    assert of(figures, "demanding_streams") == 1
    assert 0 < of(figures, "demand_rows_per_second") <= 30_000
    assert of(figures, "needed") > 0


def test_what_a_client_writes_never_becomes_a_label(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort], sketches: Path
) -> None:
    server = serve()
    caller, port = call(server.address), watch(server)
    good = caller.request(steps=1)
    good.pipeline.dataset = 'other"} 1\nevil'  # the digest leaves names out, and the fingerprint finds the data
    assert caller.chunks(good)
    refused = caller.request(steps=1, digest="no such digest")
    with pytest.raises(Exception, match="no such digest"):
        caller.chunks(refused)
    with pytest.raises(Exception, match="no such digest"):
        caller.chunks(refused)
    figures = scrape(port)
    assert {value for _, labels in figures for name, value in labels if name == "dataset"} == {"sketches"}
    assert of(figures, "failed_calls_total", reason="DIGEST_MISMATCH") == 2
    assert of(figures, "failed_calls_total", reason="SERVER_FULL") == 0


def test_calls_without_a_token_are_counted(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort], tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    server = serve(tokens=TokenFile(tmp_path / "tokens"))
    port = watch(server)
    with pytest.raises(grpc.RpcError, match="wants a bearer token"):
        call(server.address).resolve(pb.Pipeline(dataset="sketches", batch_size=10))
    assert of(scrape(port), "failed_calls_total", reason="UNAUTHENTICATED") == 1


def test_odd_names_of_files_are_escaped(
    serve: Callable[..., Any],
    call: Callable[..., Any],
    watch: Callable[..., HttpPort],
    write_dataset: Callable[..., str],
    tmp_path: Path,
) -> None:
    name = 'a"b\\c <script>'
    write_dataset(tmp_path / f"{name}.lmdb", samples=10)
    server = serve(tmp_path)
    caller, port = call(server.address), watch(server)
    caller.chunks(caller.request(pb.Pipeline(dataset=name, batch_size=10)))
    assert of(scrape(port), "rows_total", dataset=name) == 10
    assert b"<script>" not in get(port.address, "/")


def test_waits_add_up_to_the_time_that_ranges_were_open(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort]
) -> None:
    server = serve()
    caller, port = call(server.address), watch(server)

    def waits() -> dict[str, float]:
        return {
            dict(labels)["waiting_for"]: value for (name, labels), value in scrape(port).items() if "stream_s" in name
        }

    large = pb.Pipeline(dataset="sketches", batch_size=500, render=pb.Render(size=1280, encoding=pb.ENCODING_RAINBOW))
    request = caller.request(large)
    begun = time.monotonic()
    stream = caller.stream(request)
    next(stream)
    arrived, before = time.monotonic(), waits()
    # It takes nothing more: in the end the server waits for it alone, and that shows while it lasts.
    until(lambda: waits()["client"] > before["client"] + 0.3)
    assert of(scrape(port), "streams") == 1
    cancelled = time.monotonic()
    stream.cancel()
    until(lambda: server.admission.streams == 0)
    ended = time.monotonic()
    done = waits()
    assert set(done) == {"nothing", "client", "drawing", "memory"}
    assert cancelled - arrived <= sum(done.values()) <= ended - begun
    assert done == waits()


def test_the_page_says_who_streams_what(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort]
) -> None:
    server = serve()
    caller, port = call(server.address), watch(server)
    assert b"nobody has asked" in get(port.address, "/")
    caller.chunks(caller.request(stream_id=0xABCDEF, demand_rows_per_s=12_345.0))
    page = get(port.address, "/").decode()
    assert "0000000000abcdef" in page and "12,345" in page and "ipv4:127.0.0.1" in page
    assert "sketches" in page and "64 x 128 px" in page


def test_the_contact_sheet_shows_what_was_sent_last(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort]
) -> None:
    server = serve()
    caller, port = call(server.address), watch(server)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(port.address, "/contact-sheet.png")
    (chunk,) = caller.chunks(caller.request(steps=1))
    other = watch(server)  # the first one has just looked, and draws every two seconds at most
    sheet = cv2.imdecode(np.frombuffer(get(other.address, "/contact-sheet.png"), np.uint8), cv2.IMREAD_GRAYSCALE)
    pictures = np.frombuffer(chunk.tensors[0].data, np.uint8) if chunk.tensors[0].compression == 1 else None
    assert pictures is not None
    first = pictures[: 128 * 128].reshape(128, 128)
    _, _, (x, y), _ = cv2.minMaxLoc(cv2.matchTemplate(sheet, first, cv2.TM_SQDIFF))
    np.testing.assert_array_equal(sheet[y : y + 128, x : x + 128], first)


@pytest.mark.parametrize(
    ("peer", "headers", "shown"),
    [
        ("127.0.0.1", {"host": "localhost:9090"}, True),
        ("127.0.0.1", {"host": "localhost:9090", "x-forwarded-for": "192.0.2.9"}, False),
        ("192.0.2.7", {"host": "localhost"}, False),
        ("192.0.2.7", {"host": "server", "authorization": f"Bearer {TOKEN}"}, True),
        ("192.0.2.7", {"host": "server", "authorization": f"bearer  {TOKEN} "}, True),
        ("192.0.2.7", {"host": "server", "authorization": "Bearer another"}, False),
        ("192.0.2.7", {"host": "server", "authorization": TOKEN}, False),
        ("192.0.2.7", {"host": "server", "authorization": f"Basic {TOKEN}"}, False),
    ],
)
def test_pictures_and_clients_are_for_this_machine_and_for_tokens(
    peer: str, headers: dict[str, str], shown: bool
) -> None:
    assert may_see_all(Request("/", peer, headers), lambda token: token == TOKEN) is shown


def test_without_tokens_none_opens_anything() -> None:
    asked = Request("/", "192.0.2.7", {"host": "server", "authorization": "Bearer "})
    assert not may_see_all(asked, None)


def test_from_elsewhere_the_page_has_neither_pictures_nor_clients(
    serve: Callable[..., Any], call: Callable[..., Any], watch: Callable[..., HttpPort], tmp_path: Path
) -> None:
    server = serve()
    caller = call(server.address)
    caller.chunks(caller.request(stream_id=5))
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    own, tokens = outside_address(), TokenFile(tmp_path / "tokens")
    port = watch(server, host="0.0.0.0", tokens=tokens)
    outside = f"{own}:{port.address.rpartition(':')[2]}"
    page = get(outside, "/")
    assert b"sketches" in page and b"ipv4:" not in page and b"<img" not in page
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(outside, "/contact-sheet.png")
    assert b"inkstream_server_rows_total" in get(outside, "/metrics")
    with_token = {"Authorization": f"Bearer {TOKEN}"}
    assert b"ipv4:127.0.0.1" in get(outside, "/", **with_token)
    assert get(outside, "/contact-sheet.png", **with_token).startswith(b"\x89PNG")


def test_with_a_certificate_the_port_speaks_tls_alone(
    serve: Callable[..., Any], watch: Callable[..., HttpPort], new_authority: Callable[[], Any]
) -> None:
    authority = new_authority()
    certificate = ServerCertificate(*authority.issue("127.0.0.1", file="metrics"))
    port = watch(serve(), certificate=certificate)
    trusting = ssl.create_default_context(cafile=authority.pem)
    with urllib.request.urlopen(f"https://{port.address}/metrics", timeout=TIMEOUT_S, context=trusting) as answer:
        assert b"inkstream_server_threads" in answer.read()
    with pytest.raises((OSError, http.client.HTTPException)):  # the other end hangs up, or answers with an alert of TLS
        get(port.address, "/metrics")
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        urllib.request.urlopen(f"https://{port.address}/", timeout=TIMEOUT_S)


def outside_address() -> str:
    """An address of this machine that is not loopback."""
    psutil: Any = pytest.importorskip("psutil")
    for places in psutil.net_if_addrs().values():
        for place in places:
            if place.family is socket.AF_INET and not place.address.startswith("127."):
                return str(place.address)
    pytest.skip("this machine has only its loopback address")
