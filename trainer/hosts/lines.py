"""Short JSON messages over a socket, one a line."""

import json
import socket
import struct
import threading
from typing import Any

MAX_LINE_BYTES = 16 << 20
# A peer that takes nothing for so long is as good as gone; messages are a few hundred bytes.
SEND_TIMEOUT_S = 5


class Lines:
    """Messages to and from one other process. One thread reads, any may send."""

    def __init__(self, connection: socket.socket):
        """Takes over a connected socket."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_TIMEOUT_S, 0))
        self._connection = connection
        self._file = connection.makefile("rb")
        self._sending = threading.Lock()

    def send(self, **message: Any) -> None:
        """Sends a message, or nothing if the peer is gone: whoever reads will notice."""
        line = json.dumps(message).encode() + b"\n"
        with self._sending:
            try:
                self._connection.sendall(line)
            except OSError:
                self._shut(socket.SHUT_WR)

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None when the peer is gone, sends what is none, or nothing in time."""
        try:
            self._connection.settimeout(timeout_s and max(timeout_s, 0.001))
            line = self._file.readline(MAX_LINE_BYTES)
            message = json.loads(line) if line.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        return message if isinstance(message, dict) else None

    def ended(self) -> bool:
        """Whether the peer is gone; only where it has nothing to say."""
        self._connection.setblocking(False)
        try:
            return not self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def finish(self) -> None:
        """Says that nothing more will be sent; what was sent still arrives."""
        self._shut(socket.SHUT_WR)

    def close(self) -> None:
        """Ends the connection and whoever waits for a message."""
        self._shut(socket.SHUT_RDWR)
        self._file.close()
        self._connection.close()

    def _shut(self, how: int) -> None:
        try:
            self._connection.shutdown(how)
        except OSError:  # it is gone already
            pass
