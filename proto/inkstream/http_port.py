"""A small HTTP port, for Prometheus and for people: bounded in time, in size and in requests at a time.

It answers GET and HEAD, one request per connection. Nothing of it depends on what is asked: a path is handed to a
function that answers from values, never from files.
"""

import contextlib
import io
import ipaddress
import logging
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from inkstream.command_line import Failure
from inkstream.listening import ListenAddress, is_loopback_ip

_LOG = logging.getLogger(__name__)

# One more connection is closed at once.
MAX_REQUESTS = 8
# A connection is cut after so long, whatever it does.
DEADLINE_S = 10.0
# A request line with its headers; a larger one gets no answer.
MAX_HEAD_BYTES = 16 << 10

_LOOK_S = 0.1
# A page holds all it needs; nobody else's page may show or read what is here.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Added by proxies: the request then comes from somewhere else than its connection.
_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


class Request(NamedTuple):
    """What is asked for.

    Attributes:
        path: Without the query.
        peer: IP address at the other end of the connection.
        headers: By name, in lower case.
    """

    path: str
    peer: str
    headers: Mapping[str, str]

    @property
    def is_local(self) -> bool:
        """Whether it was made on this machine: over loopback, through no proxy that says so, to a loopback name.

        The name matters: a page from elsewhere can let its own name resolve to 127.0.0.1, and would then be read by
        the browser of someone who sits at this machine.
        """
        proxied = any(name in self.headers for name in _PROXY_HEADERS)
        return is_loopback_ip(self.peer) and not proxied and _is_loopback_name(self.headers.get("host", ""))


class Answer(NamedTuple):
    """What is answered.

    Attributes:
        content_type: Of the body.
        body: All of it.
        status: HTTP status.
    """

    content_type: str
    body: bytes
    status: int = HTTPStatus.OK


NOT_FOUND = Answer("text/plain; charset=utf-8", b"nothing is here\n", HTTPStatus.NOT_FOUND)


class HttpPort:
    """A port that answers requests.

    Args:
        listen: Where to listen.
        answer: Called in a thread for each request; what it raises is logged, and the status is then 500.
        tls: Makes the TLS context for the next connection; None for plain text.

    Attributes:
        address: HOST:PORT, with the port that was picked.

    Raises:
        Failure: The address cannot be listened on.
    """

    def __init__(
        self,
        listen: ListenAddress,
        answer: Callable[[Request], Answer],
        tls: Callable[[], ssl.SSLContext] | None = None,
    ):
        try:
            self._server = _Server(listen, answer, tls)
        except OSError as error:
            raise Failure(f"cannot listen on {listen.host}:{listen.port}: {error.strerror or error}") from error
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        self.address = f"{host}:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_S,), name="http", daemon=True)

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Closes the port and every connection."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.TCPServer):
    """Accepts connections, hands each to a thread, and cuts those that take too long."""

    allow_reuse_address = True
    request_queue_size = MAX_REQUESTS

    def __init__(
        self,
        listen: ListenAddress,
        answer: Callable[[Request], Answer],
        tls: Callable[[], ssl.SSLContext] | None,
    ):
        family, *_, place = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        self.answer, self._tls = answer, tls
        self._lock = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        self._threads = ThreadPoolExecutor(MAX_REQUESTS, thread_name_prefix="http")
        super().__init__(place, _Handler)  # type: ignore[arg-type]  # IPv6 places have four parts

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, place = self.socket.accept()
        if self._tls is not None:  # hands are shaken in the connection's thread
            connection = self._tls().wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, place

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._deadlines) >= MAX_REQUESTS
            if not full:
                self._deadlines[request] = time.monotonic() + DEADLINE_S
        if full:
            self.shutdown_request(request)
        else:
            self._threads.submit(self._process, request, client_address)

    def service_actions(self) -> None:
        """Called every tenth of a second."""
        now = time.monotonic()
        self._cut(lambda deadline: deadline < now)

    def server_close(self) -> None:
        super().server_close()
        self._cut(lambda deadline: True)
        self._threads.shutdown()

    def _process(self, request: socket.socket, client_address: Any) -> None:
        try:
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
            self.finish_request(request, client_address)
        except OSError as error:  # of TLS too: the other end is gone, too slow, or speaks something else
            _LOG.debug("a connection from %s ended: %s", client_address[0], error)
        except Exception:
            _LOG.exception("answering a request failed")
        finally:
            with self._lock:
                del self._deadlines[request]
            self.shutdown_request(request)

    def _cut(self, is_over: Callable[[float], bool]) -> None:
        """Wakes the threads of connections whose time is over: what they wait for ends."""
        with self._lock:
            for request, deadline in self._deadlines.items():
                if is_over(deadline):
                    with contextlib.suppress(OSError):  # it has ended by itself
                        # Not the method of a TLS socket, which would let an answer under way go on as plain text.
                        socket.socket.shutdown(request, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "inkstream", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BytesIO(self._head())

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path.partition("?")[0], str(self.client_address[0]), headers)
        try:
            answer = self.server.answer(request)
        except Exception:
            _LOG.exception("%s failed", request.path)
            message = b"this failed, and the server's log explains it\n"
            answer = Answer("text/plain; charset=utf-8", message, HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_response(answer.status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        _LOG.debug("%s " + format, self.client_address[0], *args)

    def _head(self) -> bytes:
        """The request line and the headers; nothing if they are too large."""
        head = b""
        while not head.endswith((b"\r\n\r\n", b"\n\n")):
            line = self.rfile.readline(MAX_HEAD_BYTES)
            head += line
            if len(head) > MAX_HEAD_BYTES:
                return b""
            if not line:
                break
        return head


def _is_loopback_name(host: str) -> bool:
    """Whether a Host header, with or without a port, names this machine."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return is_loopback_ip(str(ipaddress.ip_address(name)))
    except ValueError:
        return False
