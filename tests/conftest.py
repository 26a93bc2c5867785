"""What every test may use: real drawings where they are, generated ones, the real commands, a real server."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine, or a kernel that is compiled first, must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A shell that runs the suite in the background lets it ignore Ctrl-C, which every command under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "quickdraw"

# Long enough for a cold start that compiles the kernels on a busy machine.
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 30


@pytest.fixture(scope="session")
def quickdraw() -> Path:
    """The folder of real drawings beside the checkout; tests that need it are skipped without it."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real drawings at {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not reach the commands under test."""
    for name in [name for name in os.environ if name.startswith("INKSTREAM_")]:
        monkeypatch.delenv(name)


def scribble(rng: random.Random) -> list[list[list[int]]]:
    """Strokes of a meaningless drawing: 1 to 8 of them with 2 to 20 points."""
    return [
        [[rng.randrange(256) for _ in range(points)] for _ in "xy"]
        for points in (rng.randint(2, 20) for _ in range(rng.randint(1, 8)))
    ]


@pytest.fixture(scope="session")
def scribbles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of simplified .ndjson files: 2,311 meaningless drawings (a prime number) in 3 classes."""
    folder = tmp_path_factory.mktemp("scribbles")
    rng = random.Random(20)
    key_ids = rng.sample(range(1, 2**53), 2311)
    names = ("cat", "power outlet", "The Eiffel Tower")
    for label, name in enumerate(names):
        with open(folder / f"{label}.ndjson", "w") as lines:
            for key_id in key_ids[label::3]:
                row = {
                    "word": name,
                    "countrycode": rng.choice(("US", "DE", "BR", "")),
                    "timestamp": f"2017-03-{rng.randint(1, 28):02} 21:12:07.26604 UTC",
                    "recognized": rng.random() < 0.9,
                    "key_id": str(key_id),
                    "drawing": scribble(rng),
                }
                lines.write(json.dumps(row) + "\n")
    return folder


def batch_server(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a `batch-server` command to its end."""
    command = [sys.executable, "-m", "batch_server", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="session")
def run_batch_server() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a `batch-server` command to its end; raises if it fails."""
    return batch_server


@pytest.fixture(scope="session")
def data_dir(scribbles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `serve` with one dataset, `scribbles`."""
    folder = tmp_path_factory.mktemp("data")
    batch_server("import", scribbles, "--dataset", folder / "scribbles.lmdb")
    return folder


class ServerProcess:
    """A `batch-server serve` in a process of its own; `address` is where it listens."""

    def __init__(self, data_dir: Path, *options: str, listen: str = "127.0.0.1:0", env: dict[str, str] | None = None):
        command = [sys.executable, "-m", "batch_server", "serve", "--data", str(data_dir), "--listen", listen]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | (env or {}),
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # ends at the latest when the process does
        assert line.startswith("listening on "), f"the server did not start: {line!r}"
        self.address = line.removeprefix("listening on ").strip()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal, waits for the end and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture(scope="session")
def server_process() -> type[ServerProcess]:
    """The class itself, for fixtures that keep servers longer than a test."""
    return ServerProcess


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers that are killed when the test ends: `start_server(data_dir, "--threads", "1")`."""
    started: list[ServerProcess] = []

    def start(*arguments: object, **options: object) -> ServerProcess:
        started.append(ServerProcess(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[ServerProcess]:
    """One server on `data_dir` for all tests of a module."""
    running = ServerProcess(data_dir)
    yield running
    running.stop(signal.SIGKILL)
