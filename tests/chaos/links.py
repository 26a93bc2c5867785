"""Links between consumers and servers that can be cut, shaped and delayed.

A `Cable` is a network namespace at the end of a pair of virtual interfaces: the kernel's own TCP meets the fault. It
needs root, and the kernel may have no way to delay packets. A `Relay` forwards bytes in user space: it needs nothing
and delays as well.
"""

import asyncio
import os
import subprocess
import threading
import time
from typing import Protocol

# RFC 2544 sets 198.18.0.0/15 aside for measurements; each cable has a /30 of it.
_NETWORK = (198 << 24) + (18 << 16)
_CABLES = 1 << 15
_BLOCK_BYTES = 1 << 16
# A relay reads on only while less than this waits to be passed on, so that TCP slows the sender.
_MOST_BLOCKS = 64


class Link(Protocol):
    """What a fault does to a link; `heal` undoes it."""

    def cut(self) -> None:
        """Nothing passes, and nobody is told."""

    def shape(self, bytes_per_s: float) -> None:
        """Bytes from the server pass at most this fast."""

    def heal(self) -> None:
        """Everything passes again."""


def namespaces_allowed() -> bool:
    """Whether this process may make network namespaces."""
    name = f"inkstream-{os.getpid()}-try"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
        if made:
            _ip("netns", "del", name)
    except OSError:
        return False
    return made


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Cable:
    """A namespace for one server and the cable to it; a context manager, which removes both.

    Args:
        index: Another one for each cable of this process.

    Attributes:
        host: The server's address.
        command: Runs the words that follow it inside the namespace.
    """

    def __init__(self, index: int):
        number = (os.getpid() * 16 + index) % _CABLES
        here, self.host = (_dotted(_NETWORK + 4 * number + end) for end in (1, 2))
        self._namespace = f"inkstream-{os.getpid()}-{index}"
        self._device = f"ink{os.getpid()}s{index}"
        self.command = ("ip", "netns", "exec", self._namespace)
        outer = f"ink{os.getpid()}c{index}"
        _ip("netns", "add", self._namespace)
        try:
            _ip("link", "add", outer, "type", "veth", "peer", "name", self._device, "netns", self._namespace)
            _ip("addr", "add", f"{here}/30", "dev", outer)
            _ip("link", "set", outer, "up")
            self._inside("addr", "add", f"{self.host}/30", "dev", self._device)
            self._inside("link", "set", "lo", "up")
            self._inside("link", "set", self._device, "up")
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        """Pulls the plug at the server's end."""
        self._inside("link", "set", self._device, "down")

    def shape(self, bytes_per_s: float) -> None:
        """A token bucket at the server's end; it holds a millisecond's bytes, for timers are no finer."""
        burst_bytes = max(4096, int(bytes_per_s / 1000))
        rate = ("rate", f"{int(bytes_per_s * 8)}bit", "burst", str(burst_bytes), "latency", "400ms")
        self._tc("replace", *rate)

    def heal(self) -> None:
        """Plugs in again, at full rate."""
        self._inside("link", "set", self._device, "up")
        self._tc("replace", kind="noqueue")

    def close(self) -> None:
        """Removes the namespace, and the cable with it."""
        _ip("netns", "del", self._namespace)

    def __enter__(self) -> "Cable":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _inside(self, *words: str) -> None:
        _ip("-n", self._namespace, *words)

    def _tc(self, verb: str, *words: str, kind: str = "tbf") -> None:
        command = [*self.command, "tc", "qdisc", verb, "dev", self._device, "root", kind, *words]
        subprocess.run(command, check=True, capture_output=True, text=True)


def _dotted(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


class Relay:
    """Forwards TCP connections to a server, on a thread of its own; a context manager, which drops them all.

    Args:
        target: HOST:PORT of the server, which need not be up.

    Attributes:
        address: HOST:PORT on loopback, where clients connect.
    """

    def __init__(self, target: str):
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._delay_s = 0.0
        self._bytes_per_s = float("inf")
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        listening = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Swallows nothing and passes nothing: bytes wait, and neither side is told."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def shape(self, bytes_per_s: float) -> None:
        """Bytes of each connection pass at most this fast."""
        self._bytes_per_s = bytes_per_s

    def delay(self, seconds: float) -> None:
        """Bytes arrive later by this, each way."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Everything passes at once again."""
        self._delay_s, self._bytes_per_s = 0.0, float("inf")
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        """Drops every connection and stops to listen."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_writer = None
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            passing = [asyncio.create_task(self._pass(*ends)) for ends in ((reader, far_writer), (far_reader, writer))]
            try:  # when one direction ends, so does the connection
                await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in passing:
                    one.cancel()
                await asyncio.gather(*passing, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, or the relay ends: the client sees its connection dropped
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_BLOCKS)

        async def read() -> None:
            while data := await reader.read(_BLOCK_BYTES):
                await waiting.put((time.monotonic(), data))
            await waiting.put((time.monotonic(), b""))

        reading = asyncio.create_task(read())
        try:
            while True:
                came_at, data = await waiting.get()
                await asyncio.sleep(came_at + self._delay_s - time.monotonic())
                await asyncio.sleep(len(data) / self._bytes_per_s)
                await self._open.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
