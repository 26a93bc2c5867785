"""Runs commands as a person would type them: shown before they run, stopped when the demo stops."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

Process: TypeAlias = "subprocess.Popen[str]"

# A trainer finishes its step and saves a checkpoint before it ends, a server finishes its ranges.
STOP_LIMIT_S = 20
START_LIMIT_S = 120
_READY = "listening on "


class CommandFailed(Exception):
    """A command did not do what it should; the message names it."""


class Commands:
    """The commands of this environment."""

    def __init__(self, folder: Path) -> None:
        """Runs nothing yet.

        Args:
            folder: Where the server's log goes.
        """
        self._folder = folder
        self._bin = Path(sys.executable).parent
        # Settings of the person who runs the demo are not meant for it.
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("INKSTREAM_")}

    def run(self, *words: str | Path) -> None:
        """Runs a command to its end, its output where ours goes.

        Raises:
            CommandFailed: Its exit code is not 0.
        """
        self._finish(self._start(words, stdout=None), words)

    def output(self, *words: str | Path) -> str:
        """Runs a command to its end and returns what it printed on standard output.

        Raises:
            CommandFailed: Its exit code is not 0.
        """
        return self._finish(self._start(words, stdout=subprocess.PIPE), words)

    @contextmanager
    def serve(self, datasets: Path) -> Iterator[str]:
        """A batch server on a free port of this machine, stopped at the end whatever happens; yields its address.

        Raises:
            CommandFailed: It does not come up.
        """
        words = ("batch-server", "serve", "--data", datasets, "--listen", "127.0.0.1:0")
        log = self._folder / "server.log"
        with log.open("w") as errors:
            process = self._start(words, stdout=subprocess.PIPE, stderr=errors)
        ready, address = threading.Event(), ""

        def read() -> None:
            nonlocal address
            with process.stdout as lines:  # type: ignore[union-attr]
                for line in lines:
                    if line.startswith(_READY):
                        address = line.removeprefix(_READY).strip()
                        ready.set()
            ready.set()

        reader = threading.Thread(target=read, daemon=True)
        try:
            reader.start()
            if not ready.wait(START_LIMIT_S) or not address:
                raise CommandFailed(
                    f"the batch server did not come up; its log, {log}, says:\n{log.read_text()[-2000:]}"
                )
            print(f"{_READY}{address}", flush=True)
            yield address
        finally:
            _stop(process)
            reader.join()

    def _start(self, words: tuple[str | Path, ...], stdout: int | None, stderr: IO[str] | None = None) -> Process:
        name, *arguments = map(str, words)
        program = self._bin / name
        print(f"$ {shlex.join([os.path.relpath(program), *arguments])}", flush=True)
        # In a process group of its own, so that Ctrl-C in the terminal reaches only the demo, which stops the command.
        return subprocess.Popen(
            [program, *arguments], stdout=stdout, stderr=stderr, text=True, env=self._environment, process_group=0
        )

    def _finish(self, process: Process, words: tuple[str | Path, ...]) -> str:
        try:
            output, _ = process.communicate()
        except BaseException:
            _stop(process)
            raise
        if process.returncode:
            raise CommandFailed(f"`{words[0]} {words[1]}` ended with exit code {process.returncode}")
        return output or ""


def _stop(process: Process) -> None:
    """Asks a process to end, and ends it when it does not, or when the person asks again."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # a server would wait for more clients after SIGTERM
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    except BaseException:
        process.kill()
        raise
