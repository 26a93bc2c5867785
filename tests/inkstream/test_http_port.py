"""The HTTP port: what it answers, and that nobody can hold it up or fill it."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inkstream import http_port
from inkstream.command_line import Failure
from inkstream.http_port import NOT_FOUND, Answer, HttpPort, Request
from inkstream.listening import ListenAddress

LOOPBACK = ListenAddress("127.0.0.1", 0)
TIMEOUT_S = 60


def echo(request: Request) -> Answer:
    if request.path == "/broken":
        raise RuntimeError("secret")
    return Answer("text/plain", f"{request.path} {request.headers.get('x-word')}".encode())


@pytest.fixture
def listen() -> Iterator[Callable[..., HttpPort]]:
    ports: list[HttpPort] = []

    def start(answer: Callable[[Request], Answer] = echo, address: ListenAddress = LOOPBACK) -> HttpPort:
        ports.append(HttpPort(address, answer))
        ports[-1].start()
        return ports[-1]

    yield start
    for port in ports:
        port.stop()


def ask(port: HttpPort, method: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(port.address, timeout=TIMEOUT_S)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def connect(port: HttpPort) -> socket.socket:
    host, _, number = port.address.rpartition(":")
    return socket.create_connection((host, int(number)), timeout=TIMEOUT_S)


def test_a_path_without_its_query_and_headers_reach_the_function(listen: Callable[..., HttpPort]) -> None:
    answer, body = ask(listen(), "GET", "/some/where?x=1", X_Word="here")
    assert (answer.status, body) == (200, b"/some/where here")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_says_the_same_without_the_body(listen: Callable[..., HttpPort]) -> None:
    answer, body = ask(listen(), "HEAD", "/some")
    assert (answer.status, answer.headers["Content-Length"], body) == (200, "10", b"")


def test_what_goes_wrong_stays_in_the_log(listen: Callable[..., HttpPort]) -> None:
    port = listen()
    answer, body = ask(port, "GET", "/broken")
    assert answer.status == 500 and b"secret" not in body
    assert ask(port, "GET", "/")[0].status == 200


@pytest.mark.parametrize(("method", "status"), [("POST", 501), ("DELETE", 501), ("GET", 404)])
def test_what_is_not_there_is_refused(listen: Callable[..., HttpPort], method: str, status: int) -> None:
    assert ask(listen(lambda request: NOT_FOUND), method, "/")[0].status == status


def test_a_head_that_is_too_large_gets_no_answer(listen: Callable[..., HttpPort]) -> None:
    with connect(listen()) as connection:
        with pytest.raises(ConnectionError):  # it may be closed while we still write, or before the answer
            for _ in range(10_000):
                connection.sendall(b"GET / HTTP/1.0\r\n" if not _ else b"X-Word: " + b"x" * 1000 + b"\r\n")
            raise AssertionError("ten megabytes were read")


def test_one_that_writes_nothing_is_cut_and_others_are_answered_meanwhile(
    listen: Callable[..., HttpPort], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = listen()
    with connect(port) as healthy_later:
        assert ask(port, "GET", "/")[0].status == 200
        healthy_later.sendall(b"GET /late HTTP/1.0\r\n\r\n")
        assert b"/late" in healthy_later.makefile("rb").read()
    monkeypatch.setattr(http_port, "DEADLINE_S", 0.1)
    with connect(port) as silent:
        assert silent.recv(1) == b""


def test_one_more_than_the_most_is_closed_at_once(listen: Callable[..., HttpPort]) -> None:
    arrived, leave = threading.Semaphore(0), threading.Event()

    def slow(request: Request) -> Answer:
        arrived.release()
        assert leave.wait(TIMEOUT_S)
        return Answer("text/plain", b"done")

    port = listen(slow)
    waiting = [connect(port) for _ in range(http_port.MAX_REQUESTS)]
    for connection in waiting:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert arrived.acquire(timeout=TIMEOUT_S)
    with connect(port) as one_more:
        assert one_more.recv(1) == b""
    leave.set()
    for connection in waiting:
        assert connection.makefile("rb").read().endswith(b"done")
        connection.close()


def test_stopping_ends_what_is_open(listen: Callable[..., HttpPort]) -> None:
    port = listen()
    with connect(port) as silent:
        assert ask(port, "GET", "/")[0].status == 200
        port.stop()
        assert silent.recv(1) == b""
    with pytest.raises(ConnectionError):
        connect(port)


def test_an_address_in_use_is_a_clear_failure(listen: Callable[..., HttpPort]) -> None:
    taken = int(listen().address.rpartition(":")[2])
    with pytest.raises(Failure, match=f"cannot listen on 127.0.0.1:{taken}"):
        HttpPort(ListenAddress("127.0.0.1", taken), echo)


def test_ipv6_is_spoken(listen: Callable[..., HttpPort]) -> None:
    try:
        port = listen(address=ListenAddress("::1", 0))
    except Failure:
        pytest.skip("no IPv6 here")
    assert port.address.startswith("[::1]:")
    assert ask(port, "GET", "/six")[1] == b"/six None"


@pytest.mark.parametrize(
    ("peer", "headers", "local"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:9090"}, True),
        ("127.0.0.1", {"host": "localhost:9090"}, True),
        ("127.0.0.1", {"host": "LocalHost"}, True),
        ("::1", {"host": "[::1]:9090"}, True),
        ("::ffff:127.0.0.1", {"host": "127.0.0.1"}, True),
        ("192.0.2.7", {"host": "127.0.0.1"}, False),
        ("fe80::1%eth0", {"host": "localhost"}, False),
        # A proxy on this machine speaks for somebody else.
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "127.0.0.1"}, False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=192.0.2.7"}, False),
        ("127.0.0.1", {"host": "localhost", "via": "1.1 proxy"}, False),
        # A name from elsewhere that was made to resolve to this machine.
        ("127.0.0.1", {"host": "localhost.example.org"}, False),
        ("127.0.0.1", {"host": "192.0.2.7:9090"}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_only_who_sits_at_this_machine_is_local(peer: str, headers: dict[str, str], local: bool) -> None:
    assert Request("/", peer, headers).is_local is local


def test_no_descriptor_or_thread_is_left(listen: Callable[..., HttpPort]) -> None:
    psutil: Any = pytest.importorskip("psutil")
    before = threading.active_count()
    port = listen()
    process = psutil.Process()
    ask(port, "GET", "/")
    open_now = process.num_fds()
    for _ in range(50):
        connect(port).close()
        ask(port, "GET", "/")
    port.stop()
    assert process.num_fds() <= open_now
    assert threading.active_count() == before
