"""What every test may use: real drawings where they are, generated ones, the real commands, a real server."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from hypothesis import settings

from tests.scribbles import write_scribbles
from tests.server_process import ServerProcess, batch_server

# A busy machine, or a kernel that is compiled first, must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A shell that runs the suite in the background lets it ignore Ctrl-C, which every command under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# JAX in the tests and in the processes that they start: two devices, and programs compiled only once. Set before
# anything imports JAX, and before pytest starts the processes among which it deals out tests, which inherit it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _COMPILED = tempfile.TemporaryDirectory(prefix="jax-compiled-")  # removed when the interpreter ends
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_NUM_CPU_DEVICES"] = "2"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "quickdraw"


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


@pytest.fixture(scope="session")
def scribbles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of simplified .ndjson files: 2,311 meaningless drawings (a prime number) in 3 classes."""
    folder = tmp_path_factory.mktemp("scribbles")
    write_scribbles(folder, samples=2311)
    return folder


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


class Authority:
    """Signs certificates. They are real ones, of a day's life; `pem` is the file with its own."""

    def __init__(self, folder: Path):
        self._ca = trustme.CA()
        self._folder = folder
        self.pem = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.pem)

    def issue(self, *names: str, file: str | None = None, **options: object) -> tuple[Path, Path]:
        """A new certificate for names and its key, written over those in `file` (or in a file of the first name's)."""
        issued = self._ca.issue_cert(*names, **options)  # type: ignore[arg-type]
        cert, key = (self._folder / f"{file or names[0]}.{kind}.pem" for kind in ("cert", "key"))
        cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return cert, key


@pytest.fixture(scope="session")
def new_authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Authority]:
    """Makes authorities that know nothing of each other."""
    return lambda: Authority(tmp_path_factory.mktemp("authority"))
