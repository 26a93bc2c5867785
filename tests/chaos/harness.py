"""What the scripts share: a scratch folder with drawings, servers, consumers in processes of their own, the verdict."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.consumer import Epoch
from tests.scribbles import write_scribbles
from tests.server_process import ServerProcess, batch_server

ROOT = Path(__file__).parents[2]
SAMPLES = 12_000


@contextmanager
def scratch(samples: int = SAMPLES) -> Iterator[Path]:
    """A folder that is removed afterwards, with drawings in `data/scribbles.lmdb`. SIGTERM cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="inkstream-chaos-") as name:
        folder = Path(name)
        (folder / "drawings").mkdir()
        write_scribbles(folder / "drawings", samples)
        batch_server("import", folder / "drawings", "--dataset", folder / "data" / "scribbles.lmdb")
        yield folder


class Node:
    """One server that is started again and again at one address; a context manager, which kills it.

    Args:
        folder: From `scratch`.
        name: Of its log in that folder.
        options: Further words for `serve`.
        listen: Where to listen; a free port of loopback is kept once it was picked.
        prefix: A command that runs the server, as `Cable.command`.

    Attributes:
        address: Where it listens.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *options: str,
        listen: str = "127.0.0.1:0",
        prefix: tuple[str, ...] = (),
    ):
        self.address = listen
        self._folder = folder
        self._log = folder / f"{name}.log"
        self._options = options
        self._prefix = prefix
        self._server: ServerProcess | None = None
        self.start()

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._server is not None
        return self._server.process.pid

    def start(self) -> None:
        """Starts it and waits until it listens."""
        with open(self._log, "a") as log:
            self._server = ServerProcess(
                self._folder / "data",
                *self._options,
                listen=self.address,
                command=(*self._prefix, sys.executable, "-m", "batch_server"),
                stderr=log,
            )
        self.address = self._server.address
        if "--metrics" in self._options:
            self._metrics_address = self._server.read_line("metrics on ")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal, waits for the end and returns the exit code."""
        assert self._server is not None
        return self._server.stop(with_signal)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, as SIGSTOP and SIGCONT."""
        os.kill(self.pid, number)

    def figure(self, name: str) -> float:
        """A metric of a server that was started with `--metrics`, all its labels together."""
        with urllib.request.urlopen(f"http://{self._metrics_address}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def log_tail(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text().splitlines()[-lines:])

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)


class Consumer:
    """`tests.chaos.consumer` in a process of its own; a context manager, which kills it.

    Args:
        servers: Addresses.
        options: Further words of its command line.
        log: Where its warnings go.

    Attributes:
        epochs: What came so far.
        stats: Of each stream that has ended.
    """

    def __init__(self, servers: list[str], *options: object, log: IO[str] | None = None):
        command = [sys.executable, "-m", "tests.chaos.consumer", *servers, *map(str, options)]
        self.epochs: list[Epoch] = []
        self.stats: list[dict[str, Any]] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def wait(self, timeout_s: float) -> int:
        """Waits for its end and returns the exit code.

        Raises:
            subprocess.TimeoutExpired: It did not end.
        """
        code = self.process.wait(timeout_s)
        self._reading.join(10)
        return code

    def total(self, name: str) -> float:
        """A figure of the statistics, all streams together; 0 where there is none of that name."""
        return sum(stats.get(name, 0) for stats in self.stats)

    def __enter__(self) -> "Consumer":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                if "epoch" in said:
                    self.epochs.append(Epoch(**said["epoch"]))
                else:
                    self.stats.append(said["stats"])


def nodes(folder: Path, count: int, stack: ExitStack, *options: str) -> list[Node]:
    """Servers on loopback, which end with the stack."""
    return [stack.enter_context(Node(folder, f"server-{index}", *options)) for index in range(count)]


class Verdict:
    """What is claimed, each with the figure that was seen.

    Attributes:
        failed: Claims that did not hold.
    """

    def __init__(self) -> None:
        self.failed = 0

    def check(self, holds: bool, claim: str, seen: object) -> None:
        """Prints one claim."""
        self.failed += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {claim}: {seen}", flush=True)

    def exit_code(self) -> int:
        """Prints the verdict; 0 when every claim holds."""
        print("FAIL" if self.failed else "PASS", flush=True)
        return 1 if self.failed else 0


def seeded(seed: int | None) -> random.Random:
    """A random source whose seed is printed, so that a run can be repeated."""
    seed = random.randrange(1 << 32) if seed is None else seed
    print(f"seed {seed}, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    return random.Random(seed)


def run(main: Callable[[], int]) -> None:
    """Ends the process with what `main` returns; Ctrl-C ends it without a traceback."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
