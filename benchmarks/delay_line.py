"""A relay that forwards bytes later: `python -m benchmarks.delay_line HOST:PORT SECONDS`, each way.

Not every kernel can delay packets. This one passes on whole blocks from threads, in a process of its own: it costs
0.6 s of a processor per GB, a quarter of what the relay of `tests.chaos.links` costs, which can do more.
"""

import socket
import sys
import threading
import time
from queue import Queue

_BLOCK_BYTES = 256 << 10
# On the way at a time; more than 10 Gbit/s bring in 2 ms.
_MOST_BLOCKS = 32


def main(target: str, delay_s: float) -> None:
    """Prints where it listens, and forwards until it is killed."""
    host, _, port = target.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"127.0.0.1:{listening.getsockname()[1]}", flush=True)
        while True:
            near, _ = listening.accept()
            far = socket.create_connection((host, int(port)))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_forward, args=(source, sink, delay_s), daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    """One direction, until either end closes."""
    on_the_way: Queue[tuple[float, bytes]] = Queue(_MOST_BLOCKS)

    def read() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(_BLOCK_BYTES)
            except OSError:
                data = b""
            on_the_way.put((time.monotonic() + delay_s, data))

    threading.Thread(target=read, daemon=True).start()
    while True:
        due, data = on_the_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not data:
                return sink.shutdown(socket.SHUT_RDWR)
            sink.sendall(data)
        except OSError:
            return source.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
