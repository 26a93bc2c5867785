"""The client's side of TLS, mTLS and tokens, against a real server that wants all three."""

import secrets
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import inkstream
from inkstream.connection import Connection
from inkstream.credentials import Credentials
from inkstream.messages import to_message
from inkstream.v1 import batch_service_pb2 as pb

TIMEOUT_S = 30
OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)
PIPELINE = inkstream.Pipeline(dataset="scribbles", batch_size=16, validation=0, render=inkstream.Render(size=16))


class Known(NamedTuple):
    """By what a client and the server know each other; files of the client's own, and the server's tokens."""

    tls: inkstream.TLS
    token_file: Path
    tokens: Path


@pytest.fixture(scope="module")
def authority(new_authority: Callable[[], Any]) -> Any:
    return new_authority()


@pytest.fixture(scope="module")
def stranger(new_authority: Callable[[], Any]) -> Any:
    return new_authority()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens"


@pytest.fixture(scope="module")
def address(data_dir: Path, server_process: Any, authority: Any, tokens: Path) -> Iterator[str]:
    """Of the server; its certificate is for 127.0.0.1 and `batch-server`."""
    tokens.write_text(OLD)
    cert, key = authority.issue("127.0.0.1", "batch-server", file="server")
    files = {"cert": cert, "key": key, "client-ca": authority.pem}
    words = [word for name, path in files.items() for word in (f"--tls-{name}", str(path))]
    server = server_process(data_dir, *words, "--tokens", str(tokens))
    yield server.address
    server.stop(signal.SIGKILL)


@pytest.fixture
def known(authority: Any, tokens: Path, tmp_path: Path) -> Iterator[Known]:
    """All that is needed, and it fits."""
    cert, key = authority.issue("trainer")
    ca, token_file = tmp_path / "ca.pem", tmp_path / "token"
    ca.write_bytes(authority.pem.read_bytes())
    token_file.write_text(OLD + "\n")
    yield Known(inkstream.TLS(ca, cert, key), token_file, tokens)
    tokens.write_text(OLD)


def becomes(condition: Callable[[], bool]) -> bool:
    """Whether something that follows files comes true before long."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def denied(client: inkstream.Client) -> bool:
    try:
        client.datasets()
    except inkstream.AccessDenied:
        return True
    return False


def test_a_stream_over_tls_with_token_and_certificate(address: str, known: Known) -> None:
    with inkstream.connect(address, tls=known.tls, token_file=known.token_file) as client:
        with client.stream(PIPELINE) as stream:
            assert sum(len(batch["key_id"]) for batch in stream) == 2311


def test_the_name_that_the_user_gave_is_the_one_that_counts(address: str, known: Known) -> None:
    def datasets(server: str, **options: Any) -> int:
        with inkstream.connect(server, token_file=known.token_file, resolver=lambda *_: [address], **options) as client:
            return len(client.datasets())

    port = address.rpartition(":")[2]
    assert datasets(address, tls=known.tls) == 1
    assert datasets(f"dns:///batch-server:{port}", tls=known.tls) == 1
    assert datasets(f"dns:///elsewhere:{port}", tls=replace(known.tls, server_name="batch-server")) == 1
    for server in (f"dns:///elsewhere:{port}", f"localhost:{port}"):
        with pytest.raises(inkstream.AccessDenied, match="--tls-server-name"):
            datasets(server, tls=known.tls)


def test_what_does_not_fit_is_told_at_once(address: str, known: Known, stranger: Any, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(NEW)
    for tls, token_file, said in (
        (replace(known.tls, ca=stranger.pem), known.token_file, r"CERTIFICATE_VERIFY_FAILED.*--tls-ca"),
        (known.tls, other, "none of those that this server accepts"),
        (known.tls, None, "has none: name a file"),
    ):
        with inkstream.connect(address, tls=tls, token_file=token_file, timeout_s=600) as client:
            with pytest.raises(inkstream.AccessDenied, match=said) as refused:
                client.datasets()
            assert OLD not in str(refused.value) and NEW not in str(refused.value)


def test_where_the_server_hangs_up_the_client_says_what_it_may_want(
    address: str, known: Known, stranger: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = stranger.issue("trainer")
    for tls in (None, replace(known.tls, cert=None, key=None), replace(known.tls, cert=cert, key=key)):
        caplog.clear()
        with inkstream.connect(address, tls=tls, token_file=known.token_file, timeout_s=0.5) as client:
            with pytest.raises(inkstream.ServerUnavailable, match="certificates of its clients, give one"):
                client.datasets()
        assert "if the server uses TLS" in caplog.text
        assert OLD not in caplog.text


def test_a_server_without_tls_is_told_from_one_with(fake_server: Any, known: Known) -> None:
    with inkstream.connect(fake_server().address, tls=known.tls, timeout_s=600) as client:
        with pytest.raises(inkstream.AccessDenied, match="does not speak TLS"):
            client.datasets()


def refused(address: str, known: Known, token: str) -> bool:
    file = known.token_file.with_name("one")
    file.write_text(token)
    with inkstream.connect(address, tls=known.tls, token_file=file) as client:
        return denied(client)


def test_a_token_changes_on_both_sides_while_a_stream_goes_on(address: str, known: Known) -> None:
    large = PIPELINE.replace(batch_size=64, render=inkstream.Render(size=32))
    with inkstream.connect(address, tls=known.tls, token_file=known.token_file) as client:
        with client.stream(large, epochs=None, memory_bytes=16 << 20) as stream:
            next(stream)
            known.tokens.write_text(f"{OLD}\n{NEW}")
            assert becomes(lambda: not refused(address, known, NEW))
            known.token_file.write_text(NEW)
            known.tokens.write_text(NEW)
            assert becomes(lambda: refused(address, known, OLD))
            for _ in range(600):  # 38 MB: far more than was asked for before
                next(stream)
        known.tokens.write_text(OLD)
        assert becomes(lambda: denied(client))
        known.token_file.write_text(OLD)
        assert not denied(client)


def test_new_files_of_a_client_make_a_new_channel(address: str, known: Known, stranger: Any, authority: Any) -> None:
    """Under another authority the server is no longer known, which only a new channel can notice."""
    ca = Path(str(known.tls.ca))
    with inkstream.connect(address, tls=known.tls, token_file=known.token_file) as client:
        assert not denied(client)
        ca.write_bytes(stranger.pem.read_bytes())
        assert becomes(lambda: denied(client))
        ca.write_bytes(stranger.pem.read_bytes() + authority.pem.read_bytes())
        assert becomes(lambda: not denied(client))


def test_a_new_channel_leaves_calls_under_way_alone(address: str, known: Known, stranger: Any, authority: Any) -> None:
    credentials = Credentials(known.tls, known.token_file)
    connection = Connection(address, "127.0.0.1", credentials)
    options = {"timeout": TIMEOUT_S, "metadata": credentials.for_call()}
    with connection.methods() as before:
        large = to_message(PIPELINE.replace(batch_size=500, render=inkstream.Render(size=512)))
        yields = before.stub.ResolvePipeline(pb.ResolvePipelineRequest(pipeline=large), **options)
        range_ = pb.StreamBatchesRequest(
            pipeline=yields.pipeline, digest=yields.digest, fingerprint=yields.fingerprint, steps=1
        )
        call = before.stream_batches(range_.SerializeToString(), **options)
        received = [next(call)]
        Path(str(known.tls.ca)).write_bytes(authority.pem.read_bytes() + stranger.pem.read_bytes())

        def renewed() -> bool:
            with connection.methods() as now:
                return now is not before

        assert becomes(renewed)
        with connection.methods() as now:
            assert now.stub.ListDatasets(pb.ListDatasetsRequest(), **options).datasets
        received += call
        rows = sum(pb.StreamBatchesResponse.FromString(message).chunk.rows for message in received)
        assert rows == 500
    with pytest.raises(ValueError, match="closed channel"):
        before.stub.ListDatasets(pb.ListDatasetsRequest(), **options)
    connection.close()


def test_files_that_make_no_sense_are_refused_when_connecting(known: Known, stranger: Any, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("secret")
    missing = tmp_path / "missing"
    for options, said in (
        ({"tls": replace(known.tls, key=None)}, "needs its private key"),
        ({"tls": replace(known.tls, cert=None)}, "needs its private key"),
        ({"tls": replace(known.tls, key=stranger.issue("x")[1])}, "is not the private key of"),
        ({"tls": replace(known.tls, ca=known.tls.key)}, "must hold certificates of authorities"),
        ({"tls": replace(known.tls, ca=missing)}, "No such file"),
        ({"token_file": missing}, "No such file"),
        ({"token_file": tmp_path / "short"}, "line 1: a token must be"),
        ({"tls": "ca.pem"}, "must be an inkstream.TLS"),
        ({"token_file": b"secret"}, "must be the path of a file, got a bytes"),
    ):
        with pytest.raises(inkstream.InvalidRequest, match=said) as refused:
            inkstream.connect("127.0.0.1:1", **options)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("wrong", [{"ca": b"x"}, {"cert": 5}, {"key": 5}, {"server_name": 5}])
def test_what_is_no_path_or_no_name_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(inkstream.InvalidRequest, match=f"{next(iter(wrong))} must be"):
        inkstream.TLS(**wrong)


def test_no_representation_shows_a_token(known: Known) -> None:
    with inkstream.connect("127.0.0.1:1", tls=known.tls, token_file=known.token_file, timeout_s=0.1) as client:
        with pytest.raises(inkstream.InkstreamError) as failed:
            client.datasets()
        assert OLD not in repr(client) + repr(known.tls) + repr(failed.value) + str(failed.value.__cause__)
