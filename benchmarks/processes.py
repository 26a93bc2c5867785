"""A server and a consumer, each in a process of its own, set up as one likes, and what goes between them measured."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Setting:
    """How server and client differ from ones that nobody has tuned.

    Args:
        constants: Of both, as `benchmarks.varied` takes them.
        server_constants: Of the server alone.
        client_constants: Of the client alone.
        server_env: Environment variables of the server.
        client_env: Environment variables of the client.
        serve: Further words for `serve`.
        consume: Further words for `benchmarks.consumer`.
        listen: Where the server listens.
        hosts: By which names or addresses the client calls it; by the one where it listens if empty.
        inside: A command that runs the server, as `Cable.command`.
    """

    constants: Mapping[str, Any] = field(default_factory=dict)
    server_constants: Mapping[str, Any] = field(default_factory=dict)
    client_constants: Mapping[str, Any] = field(default_factory=dict)
    server_env: Mapping[str, str] = field(default_factory=dict)
    client_env: Mapping[str, str] = field(default_factory=dict)
    serve: Sequence[str] = ()
    consume: Sequence[str] = ()
    listen: str = "127.0.0.1:0"
    hosts: Sequence[str] = ()
    inside: Sequence[str] = ()


class Workload(NamedTuple):
    """What is asked for, as `benchmarks.consumer.consume` takes it.

    Attributes:
        compression: How pictures travel.
        share: Of the dataset that makes an epoch.
        times: How often the same epoch is streamed. A server keeps 256 MiB of chunks: what fits, 16,000 pictures of
            128x128 gray, is drawn the first time only.
        batch_size: Rows of a batch.
        seed: Of the pipeline.
    """

    compression: str
    share: float
    times: int = 1
    batch_size: int = 256
    seed: int = 0


class Seen(NamedTuple):
    """What one measurement found.

    Attributes:
        rows: Drawings that came.
        wire_bytes: In messages of this size.
        seconds: For how long.
        client_s: Processor time of the client.
        server_s: Processor time of the server.
    """

    rows: int
    wire_bytes: int
    seconds: float
    client_s: float
    server_s: float

    @property
    def rows_per_s(self) -> float:
        """Drawings per second."""
        return self.rows / self.seconds


def median(of: Callable[[Seen], float], found: Sequence[Seen]) -> float:
    """The median of a figure."""
    return statistics.median(map(of, found))


class Server(NamedTuple):
    """A running `batch-server serve`."""

    process: subprocess.Popen[str]
    dataset: str
    address: str

    def processor_s(self) -> float:
        """That it has used so far, by Linux' /proc/PID/stat: fields 14 and 15, user and system time in ticks."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


class Consumer(NamedTuple):
    """A running `benchmarks.consumer`."""

    process: subprocess.Popen[str]
    server: Server

    def measure(self, workload: Workload) -> Seen:
        """Runs a workload once."""
        assert self.process.stdin is not None and self.process.stdout is not None
        before = self.server.processor_s()
        print(json.dumps(workload._asdict()), file=self.process.stdin, flush=True)
        found = json.loads(self.process.stdout.readline())
        return Seen(*found, server_s=self.server.processor_s() - before)


@contextmanager
def serving(dataset: Path, setting: Setting) -> Iterator[Server]:
    """A server of a dataset that is alone in its folder."""
    words = ("serve", "--data", str(dataset.parent), "--listen", setting.listen, *setting.serve)
    command = _varied({**setting.constants, **setting.server_constants}, "batch_server")
    with _started((*setting.inside, *command, *words), setting.server_env) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("listening on ").strip()
        assert address, "the server did not start"
        yield Server(process, dataset.stem, address)


@contextmanager
def consuming(server: Server, setting: Setting) -> Iterator[Consumer]:
    """A consumer of a server."""
    port = server.address.rpartition(":")[2]
    addresses = [f"{host}:{port}" for host in setting.hosts] or [server.address]
    command = _varied({**setting.constants, **setting.client_constants}, "benchmarks.consumer")
    words = (*addresses, "--dataset", server.dataset, *setting.consume)
    with _started((*command, *words), setting.client_env) as process:
        yield Consumer(process, server)


def _varied(constants: Mapping[str, Any], module: str) -> tuple[str, ...]:
    """A command that runs a module with some constants changed."""
    return sys.executable, "-m", "benchmarks.varied", json.dumps(constants), module


@contextmanager
def _started(command: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **env}
    ) as process:
        try:
            yield process
        finally:
            process.kill()
