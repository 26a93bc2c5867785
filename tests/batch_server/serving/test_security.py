"""Whom a server answers: real processes with real certificates, plain generated stubs and raw sockets."""

import datetime
import os
import runpy
import secrets
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from batch_server.cli import main
from batch_server.serving.server import BatchServer, ServerSettings
from batch_server.serving.tls import ServerCertificate
from batch_server.serving.tokens import TokenFile
from inkstream.v1 import batch_service_pb2 as pb
from inkstream.v1 import batch_service_pb2_grpc

TIMEOUT_S = 30
REFUSED = grpc.StatusCode.UNAUTHENTICATED
OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)
NOW = datetime.datetime.now(datetime.UTC)
LAST_WEEK = {"not_before": NOW - datetime.timedelta(days=7), "not_after": NOW - datetime.timedelta(days=1)}
PROBE = Path(__file__).parents[3] / "deploy" / "healthcheck.py"


@pytest.fixture(scope="module")
def authority(new_authority: Callable[[], Any]) -> Any:
    return new_authority()


@pytest.fixture(scope="module")
def stranger(new_authority: Callable[[], Any]) -> Any:
    """Another authority, which nobody trusts."""
    return new_authority()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(OLD + "\n")
    return path


@pytest.fixture(scope="module")
def guarded(sketches: Path, server_process: Any, authority: Any, tokens: Path) -> Iterator[str]:
    """The address of a server with TLS and tokens, which may therefore listen beyond this machine."""
    cert, key = authority.issue("127.0.0.1", file="guarded")
    settings = {"INKSTREAM_TLS_CERT": cert, "INKSTREAM_TLS_KEY": key, "INKSTREAM_TOKENS": tokens}
    environment = {name: str(path) for name, path in settings.items()}
    server = server_process(sketches, "--max-streams", "1", listen="0.0.0.0:0", env=environment)
    yield server.address.replace("0.0.0.0", "127.0.0.1")
    server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def clients_ca(authority: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authorities of clients."""
    path = tmp_path_factory.mktemp("clients") / "ca.pem"
    path.write_bytes(authority.pem.read_bytes())
    return path


@pytest.fixture(scope="module")
def mutual(sketches: Path, authority: Any, clients_ca: Path) -> Iterator[str]:
    """The address of a server that asks clients for a certificate."""
    certificate = ServerCertificate(*authority.issue("127.0.0.1", file="mutual"), clients_ca)
    server = BatchServer(ServerSettings(sketches, "127.0.0.1:0", 1, 64 << 20, 0, 1, certificate))
    server.load()
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """A new connection: `connect(address, authority, client=(cert, key))`, or without TLS if no authority is given."""
    channels: list[Any] = []

    def channel(address: str, authority: Any = None, client: tuple[Path, Path] | None = None) -> Any:
        options = [("grpc.use_local_subchannel_pool", 1)]
        if authority is None:
            channels.append(grpc.insecure_channel(address, options))
        else:
            cert, key = (path.read_bytes() for path in client) if client else (None, None)
            credentials = grpc.ssl_channel_credentials(authority.pem.read_bytes(), key, cert)
            channels.append(grpc.secure_channel(address, credentials, options))
        return channels[-1]

    yield channel
    for each in channels:
        each.close()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def names(channel: Any, metadata: Any = ()) -> list[str]:
    """The datasets that a caller is told of."""
    stub = batch_service_pb2_grpc.BatchServiceStub(channel)
    response = stub.ListDatasets(pb.ListDatasetsRequest(), metadata=metadata, timeout=TIMEOUT_S)
    return [dataset.name for dataset in response.datasets]


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code(), refused.value.details()


def healthy(channel: Any) -> bool:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def test_a_valid_token_over_tls_is_let_in(guarded: str, authority: Any, connect: Any) -> None:
    channel = connect(guarded, authority)
    assert names(channel, bearer(OLD)) == ["sketches"]
    assert names(channel, (("authorization", f"bearer {OLD}"),)) == ["sketches"]  # schemes have no case


WRONG = {
    "none": (),
    "empty": bearer(""),
    "unknown": bearer(NEW),
    "cut": bearer(OLD[:-1]),
    "longer": bearer(OLD + "0"),
    "other case": bearer(OLD.upper()),
    "without scheme": (("authorization", OLD),),
    "other scheme": (("authorization", f"Basic {OLD}"),),
    "two spaces": (("authorization", f"Bearer  {OLD}"),),
    "two tokens": bearer(NEW) + bearer(OLD),
    "bytes": (("authorization-bin", f"Bearer {OLD}".encode()),),
    "elsewhere": (("token", OLD),),
}


@pytest.mark.parametrize("metadata", WRONG.values(), ids=WRONG)
def test_no_method_answers_without_a_valid_token(guarded: str, authority: Any, connect: Any, metadata: Any) -> None:
    channel = connect(guarded, authority)
    service = batch_service_pb2_grpc.BatchServiceStub(channel)
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    nonsense = channel.unary_unary("/inkstream.v1.BatchService/NoSuchMethod")
    for call in (
        lambda: service.ListDatasets(pb.ListDatasetsRequest(), metadata=metadata, timeout=TIMEOUT_S),
        lambda: service.GetDataset(pb.GetDatasetRequest(name="sketches"), metadata=metadata, timeout=TIMEOUT_S),
        lambda: service.ResolvePipeline(pb.ResolvePipelineRequest(), metadata=metadata, timeout=TIMEOUT_S),
        lambda: list(service.StreamBatches(pb.StreamBatchesRequest(), metadata=metadata, timeout=TIMEOUT_S)),
        lambda: list(reflection.ServerReflectionInfo(iter([ask]), metadata=metadata, timeout=TIMEOUT_S)),
        lambda: nonsense(b"", metadata=metadata, timeout=TIMEOUT_S),
    ):
        code, said = refusal(call)
        assert code is REFUSED
        assert "token" in said and OLD not in said and NEW not in said


def test_the_refusal_has_the_contracts_reason(guarded: str, authority: Any, connect: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        names(connect(guarded, authority))
    details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    assert pb.ErrorReason.Name(pb.ERROR_REASON_UNAUTHENTICATED).encode() in details


def test_health_needs_no_token_and_reflection_works_with_one(guarded: str, authority: Any, connect: Any) -> None:
    channel = connect(guarded, authority)
    assert healthy(channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([ask]), metadata=bearer(OLD), timeout=TIMEOUT_S
    )
    assert pb.DESCRIPTOR.services_by_name["BatchService"].full_name in [
        service.name for service in answer.list_services_response.service
    ]


@pytest.mark.parametrize("server", ["guarded", "mutual"])
def test_the_images_health_probe_knows_the_server_by_its_files(
    server: str, authority: Any, stranger: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    port = request.getfixturevalue(server).rpartition(":")[2]

    def probe(cert: Path, key: Path) -> None:
        monkeypatch.setenv("INKSTREAM_LISTEN", f"0.0.0.0:{port}")
        monkeypatch.setenv("INKSTREAM_TLS_CERT", str(cert))
        monkeypatch.setenv("INKSTREAM_TLS_KEY", str(key))
        runpy.run_path(str(PROBE), run_name="__main__")

    probe(*authority.issue("batch-server", "*.example.org", file=server))
    with pytest.raises(SystemExit, match="no TLS"):
        probe(*stranger.issue("batch-server"))
    authority.issue("127.0.0.1", file=server)


def test_strangers_take_no_place_from_those_who_may_call(guarded: str, authority: Any, connect: Any) -> None:
    """A call that never sends its request keeps a thread waiting; these are many times the threads."""
    channel, stop = connect(guarded, authority), threading.Event()

    def never() -> Iterator[bytes]:
        stop.wait()
        yield from ()

    stream = channel.stream_stream("/inkstream.v1.BatchService/StreamBatches")
    calls = [stream(never(), metadata=bearer(NEW), timeout=TIMEOUT_S) for _ in range(64)]
    try:
        assert {refusal(lambda call=call: list(call))[0] for call in calls} == {REFUSED}
        assert names(channel, bearer(OLD)) == ["sketches"]
    finally:
        stop.set()


def test_a_token_change_takes_effect_without_a_restart(
    guarded: str, authority: Any, connect: Any, tokens: Path
) -> None:
    channel = connect(guarded, authority)

    def accepted(token: str) -> bool:
        try:
            return names(channel, bearer(token)) == ["sketches"]
        except grpc.RpcError as error:
            assert error.code() is REFUSED
            return False

    def becomes(token: str, expected: bool) -> bool:
        end = time.monotonic() + TIMEOUT_S
        while accepted(token) is not expected and time.monotonic() < end:
            time.sleep(0.05)
        return accepted(token) is expected

    try:
        tokens.write_text(f"{OLD}\n{NEW}\n")
        assert accepted(NEW) and accepted(OLD)
        tokens.write_text(NEW)
        assert becomes(OLD, False) and accepted(NEW)
        tokens.write_text("")  # a slip of the pen shuts nobody out and lets nobody in
        assert accepted(NEW) and not accepted(OLD) and not accepted("")
    finally:
        tokens.write_text(OLD)
    assert accepted(OLD)
    assert becomes(NEW, False)


@pytest.mark.parametrize("server", ["guarded", "mutual"])
def test_plaintext_gets_nothing(server: str, connect: Any, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(server)
    assert refusal(lambda: names(connect(address), bearer(OLD)))[0] is grpc.StatusCode.UNAVAILABLE
    assert refusal(lambda: healthy(connect(address)))[0] is grpc.StatusCode.UNAVAILABLE
    host, _, port = address.rpartition(":")
    for said in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        with socket.create_connection((host, int(port)), TIMEOUT_S) as raw:
            raw.sendall(said)
            got = everything(raw)
        # At most a TLS alert (content type 21), nothing of the application.
        assert got == b"" or (got[0] == 21 and len(got) <= 7)


def test_a_client_does_not_take_a_wrong_certificate(guarded: str, authority: Any, stranger: Any, connect: Any) -> None:
    assert refusal(lambda: healthy(connect(guarded, stranger)))[0] is grpc.StatusCode.UNAVAILABLE
    elsewhere = guarded.replace("127.0.0.1", "localhost")  # which is no name of the certificate's
    assert refusal(lambda: healthy(connect(elsewhere, authority)))[0] is grpc.StatusCode.UNAVAILABLE
    try:
        authority.issue("127.0.0.1", file="guarded", **LAST_WEEK)
        code, said = refusal(lambda: healthy(connect(guarded, authority)))
        assert code is grpc.StatusCode.UNAVAILABLE and "expired" in said
    finally:
        authority.issue("127.0.0.1", file="guarded")
    assert healthy(connect(guarded, authority))


def test_a_client_with_a_certificate_is_let_in(mutual: str, authority: Any, connect: Any) -> None:
    channel = connect(mutual, authority, authority.issue("trainer"))
    assert names(channel) == ["sketches"]
    assert healthy(channel)


def test_no_certificate_or_a_wrong_one_gets_nothing(mutual: str, authority: Any, stranger: Any, connect: Any) -> None:
    expired = authority.issue("late", **LAST_WEEK)
    for client in (None, stranger.issue("trainer"), expired):
        assert refusal(lambda client=client: names(connect(mutual, authority, client)))[0] is (
            grpc.StatusCode.UNAVAILABLE
        )
        assert refusal(lambda client=client: healthy(connect(mutual, authority, client)))[0] is (
            grpc.StatusCode.UNAVAILABLE
        )
        assert application_data(mutual, authority, client) == b""
    assert application_data(mutual, authority, authority.issue("trainer")) != b""


def application_data(address: str, authority: Any, client: tuple[Path, Path] | None) -> bytes:
    """What a raw TLS peer that speaks HTTP/2 gets first: the server's settings if it is let in."""
    with suppress(ssl.SSLError, ConnectionError), raw_peer(address, authority, client) as peer:
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        return peer.recv(1 << 16)
    return b""


def presented(address: str, authority: Any, client: tuple[Path, Path]) -> bytes:
    """The certificate that a server shows now, DER."""
    with raw_peer(address, authority, client) as peer:
        return peer.getpeercert(binary_form=True) or b""


@contextmanager
def raw_peer(address: str, authority: Any, client: tuple[Path, Path] | None) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=str(authority.pem))
    context.set_alpn_protocols(["h2"])
    if client:
        context.load_cert_chain(*client)
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), TIMEOUT_S) as raw,
        context.wrap_socket(raw, server_hostname=host) as peer,
    ):
        yield peer


def everything(raw: socket.socket) -> bytes:
    """What comes until the peer closes."""
    got = b""
    with suppress(ConnectionError):
        while piece := raw.recv(1 << 16):
            got += piece
    return got


def test_a_new_certificate_serves_the_next_handshake(mutual: str, authority: Any, connect: Any) -> None:
    client = authority.issue("trainer")
    before = connect(mutual, authority, client)
    assert healthy(before)
    first = presented(mutual, authority, client)
    cert, key = authority.issue("127.0.0.1", file="mutual")
    second = presented(mutual, authority, client)
    assert second != first
    assert healthy(before) and healthy(connect(mutual, authority, client))
    key.write_text("half of a change")
    assert presented(mutual, authority, client) == second
    cert.unlink()
    assert presented(mutual, authority, client) == second
    authority.issue("127.0.0.1", file="mutual")
    assert presented(mutual, authority, client) not in (first, second)


def test_new_authorities_of_clients_count_from_the_next_handshake(
    mutual: str, authority: Any, stranger: Any, clients_ca: Path
) -> None:
    client, newcomer = authority.issue("trainer"), stranger.issue("newcomer")
    clients_ca.write_bytes(stranger.pem.read_bytes())
    assert application_data(mutual, authority, newcomer)
    assert application_data(mutual, authority, client) == b""
    clients_ca.write_bytes(stranger.pem.read_bytes() + authority.pem.read_bytes())
    assert application_data(mutual, authority, newcomer) and application_data(mutual, authority, client)
    clients_ca.write_bytes(authority.pem.read_bytes())
    assert application_data(mutual, authority, newcomer) == b""


def test_the_same_certificate_serves_pythons_own_servers(authority: Any) -> None:
    cert, key = authority.issue("127.0.0.1", file="own")
    certificate = ServerCertificate(cert, key)
    first = certificate.ssl_context()
    assert certificate.ssl_context() is first
    authority.issue("127.0.0.1", file="own")
    assert certificate.ssl_context() is not first


def test_what_a_client_sends_reaches_no_path(
    guarded: str, authority: Any, connect: Any, sketches: Path, write_dataset: Any, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    fingerprint = write_dataset(hidden.with_suffix(".lmdb"), samples=5)
    stub = batch_service_pb2_grpc.BatchServiceStub(connect(guarded, authority))
    options = {"metadata": bearer(OLD), "timeout": TIMEOUT_S}
    for name in (hidden, f"{hidden}.lmdb", os.path.relpath(hidden, sketches), "../" * 20 + str(hidden), "./sketches"):
        pipeline = pb.Pipeline(dataset=str(name), batch_size=1)
        range_ = pb.StreamBatchesRequest(pipeline=pipeline, digest=str(name), fingerprint=fingerprint, steps=1)
        for call in (
            lambda name=name: stub.GetDataset(pb.GetDatasetRequest(name=str(name)), **options),
            lambda pipeline=pipeline: stub.ResolvePipeline(pb.ResolvePipelineRequest(pipeline=pipeline), **options),
            lambda range_=range_: list(stub.StreamBatches(range_, **options)),
        ):
            assert refusal(call)[0] is grpc.StatusCode.NOT_FOUND


TOO_MUCH = {
    "batch_size": pb.Pipeline(batch_size=65_537),
    "render.size": pb.Pipeline(batch_size=1, render=pb.Render(size=1281)),
    "filter.classes": pb.Pipeline(batch_size=1, filter=pb.Filter(classes=map(str, range(10_001)))),
    "filter.countries": pb.Pipeline(batch_size=1, filter=pb.Filter(countries=["US"] * 1_001)),
}


@pytest.mark.parametrize("field", TOO_MUCH)
def test_sizes_have_limits(guarded: str, authority: Any, connect: Any, field: str) -> None:
    stub = batch_service_pb2_grpc.BatchServiceStub(connect(guarded, authority))
    pipeline = TOO_MUCH[field]
    pipeline.dataset = "sketches"
    request = pb.ResolvePipelineRequest(pipeline=pipeline)
    code, said = refusal(lambda: stub.ResolvePipeline(request, metadata=bearer(OLD), timeout=TIMEOUT_S))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in said


@pytest.fixture
def words(authority: Any, stranger: Any, tokens: Path, tmp_path: Path) -> dict[str, str]:
    """What may stand for a file on a command line."""
    cert, key = authority.issue("127.0.0.1", file="words")
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_text("secret")
    (tmp_path / "encrypted").write_bytes(
        load_pem_private_key(key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    return {
        "CERT": str(cert),
        "KEY": str(key),
        "CA": str(authority.pem),
        "TOKENS": str(tokens),
        "OTHER": str(stranger.issue("127.0.0.1", file="words")[1]),
        **{name.upper(): str(tmp_path / name) for name in ("empty", "short", "encrypted", "missing")},
    }


TLS = ["--tls-cert", "CERT", "--tls-key", "KEY"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tls-cert", "CERT"], "needs both --tls-cert and --tls-key"),
        (["--tls-client-ca", "CA"], "needs both --tls-cert and --tls-key"),
        (["--tls-cert", "MISSING", "--tls-key", "KEY"], "No such file"),
        (["--tls-cert", "CERT", "--tls-key", "OTHER"], "is not the private key of"),
        (["--tls-cert", "KEY", "--tls-key", "CERT"], "must be a certificate and its private key in PEM"),
        (["--tls-cert", "CERT", "--tls-key", "ENCRYPTED"], "has a passphrase"),
        ([*TLS, "--tls-client-ca", "KEY"], "must hold certificates of authorities in PEM"),
        ([*TLS, "--tls-client-ca", "EMPTY"], "must hold certificates of authorities in PEM"),
        (["--tokens", "MISSING"], "No such file"),
        (["--tokens", "EMPTY"], "must hold a token"),
        (["--tokens", "SHORT"], "line 1: a token must be 16 to 1024"),
        (["--listen", "0.0.0.0:0"], "without TLS and authentication"),
        (["--listen", "0.0.0.0:0", "--tokens", "TOKENS"], "without encryption"),
        (["--listen", "0.0.0.0:0", *TLS], "without authentication"),
    ],
)
def test_what_would_not_protect_is_refused_at_the_start(
    options: list[str], said: str, words: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--data", ".", *(words.get(word, word) for word in options)]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert OLD not in printed and "secret" not in printed


def test_a_token_file_accepts_its_tokens_alone(tokens: Path) -> None:
    file = TokenFile(tokens)
    assert file.accepts(OLD)
    assert not any(map(file.accepts, ("", NEW, OLD[:-1], OLD + "\n", OLD.upper(), "\udcff")))
    assert OLD not in repr(vars(file))
