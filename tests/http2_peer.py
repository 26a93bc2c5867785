"""A peer that speaks just enough HTTP/2 to misbehave: it opens gRPC calls and then sends, or reads, nothing more.

Frames are those of RFC 9113, headers are literals without indexing (RFC 7541, section 6.2.2). A library would read and
answer by itself, which is what this peer must not do.
"""

import socket
import struct
import time
from types import TracebackType

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8
_FRAME_HEADER_BYTES = 9
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_INITIAL_WINDOW_SIZE = 0x4
_LARGEST_WINDOW_BYTES = 2**31 - 1
_FIRST_WINDOW_BYTES = 65_535
_LARGEST_FRAME_BYTES = 16_384

CONNECT_TIMEOUT_S = 10


class Http2Peer:
    """One connection, whose windows are as large as HTTP/2 allows: nothing but TCP stops the server's answers.

    Args:
        address: `HOST:PORT`.
        receive_buffer_bytes: The socket's, as small as the system allows unless given.
    """

    def __init__(self, address: str, receive_buffer_bytes: int = 1):
        host, _, port = address.rpartition(":")
        self.socket = socket.socket(socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(CONNECT_TIMEOUT_S)
        self.socket.connect((host, int(port)))
        self._authority = address.encode()
        self._next_stream = 1
        self._send(_PREFACE + _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW_BYTES)))
        self._send(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW_BYTES - _FIRST_WINDOW_BYTES)))

    def open_call(self, path: str) -> int:
        """Begins a call whose request is still to come; returns the number of its HTTP/2 stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        headers = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", self._authority),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
        self._send(_frame(_HEADERS, _END_HEADERS, stream, b"".join(_literal(*header) for header in headers)))
        return stream

    def begin_request(self, stream: int, message: bytes) -> None:
        """Sends the first half of the one message of a call."""
        body = _body(message)
        self._send(_frame(_DATA, 0, stream, body[: min(len(body) // 2, _LARGEST_FRAME_BYTES)]))

    def send_request(self, stream: int, message: bytes) -> None:
        """Sends the one message of a call."""
        body = _body(message)
        for offset in range(0, len(body), _LARGEST_FRAME_BYTES):
            part = body[offset : offset + _LARGEST_FRAME_BYTES]
            last = offset + len(part) == len(body)
            self._send(_frame(_DATA, _END_STREAM if last else 0, stream, part))

    def wait_until_ended(self, timeout_s: float) -> None:
        """Reads, and answers pings, until the server has ended any call: with headers, which say why, or by a reset.

        Raises:
            TimeoutError: It did not.
            ConnectionError: It closed the connection.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            header = self._receive(_FRAME_HEADER_BYTES, deadline)
            kind, flags = header[3:5]
            payload = self._receive(int.from_bytes(header[:3]), deadline)
            if kind in (_HEADERS, _RST_STREAM):
                return
            if kind == _PING and not flags & _ACK:
                self._send(_frame(_PING, _ACK, 0, payload))

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def __enter__(self) -> "Http2Peer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, size_bytes: int, deadline: float) -> bytes:
        received = b""
        while len(received) < size_bytes:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            part = self.socket.recv(size_bytes - len(received))
            if not part:
                raise ConnectionError("the server closed the connection")
            received += part
        return received

    def _send(self, data: bytes) -> None:
        self.socket.sendall(data)


def _body(message: bytes) -> bytes:
    """A message as gRPC frames it, not compressed."""
    return struct.pack(">BI", 0, len(message)) + message


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    """A string without Huffman coding, its length an integer with a prefix of 7 bits."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest = len(text) - 127
    assert rest < 128
    return bytes([127, rest]) + text
