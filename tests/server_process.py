"""The real commands, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# Long enough for a cold start that compiles the kernels on a busy machine.
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 30


def batch_server(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a `batch-server` command to its end; raises if it fails."""
    command = [sys.executable, "-m", "batch_server", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=True, **options)  # type: ignore[call-overload]


class ServerProcess:
    """A `batch-server serve` in a process of its own; `address` is where it listens.

    Args:
        data_dir: Folder of the datasets.
        options: Further words of the command line.
        listen: Where to listen.
        env: Environment variables to add.
        command: What `serve` and its options are words of.
        stderr: Where its log goes; to the caller's if not given.
    """

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        listen: str = "127.0.0.1:0",
        env: dict[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "batch_server"),
        stderr: IO[str] | None = None,
    ):
        self.process = subprocess.Popen(
            [*command, "serve", "--data", str(data_dir), "--listen", listen, *options],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | (env or {}),
        )
        self.address = self.read_line("listening on ")

    def read_line(self, beginning: str) -> str:
        """The rest of the next line that it prints, which must begin as given."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # ends at the latest when the process does
        assert line.startswith(beginning), f"the server did not start: {line!r}"
        return line.removeprefix(beginning).strip()

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
