"""A relay on loopback between JAX and its coordinator, which outlives the coordinator.

JAX ends a process with SIGABRT and a stack trace as soon as its coordinator, process 0, is gone (jaxlib 0.10.2; its
callback for this case cannot be used from Python). Behind a relay it only meets silence, so that the process can
end with a message that says what has happened.
"""

import socket
import threading

_BLOCK_BYTES = 1 << 16


class Relay:
    """Passes bytes between connections to `address` on this machine and a server elsewhere."""

    def __init__(self, host: str, port: int):
        """Listens on a free port; each connection is passed on to `host` and `port`."""
        self._upstream = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def close(self) -> None:
        """Accepts no more connections; those that are open stay."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(self._upstream)
            except OSError:  # as the client would have seen it without a relay
                client.close()
                continue
            for source, sink, outlives in ((client, server, False), (server, client, True)):
                threading.Thread(target=_pump, args=(source, sink, outlives), name="relay", daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, outlives: bool) -> None:
    """Passes on what comes; at its end closes `sink`, unless that outlives it."""
    try:
        while block := source.recv(_BLOCK_BYTES):
            sink.sendall(block)
    except OSError:
        pass
    if not outlives:
        sink.close()
