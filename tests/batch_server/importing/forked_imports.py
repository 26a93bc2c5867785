"""Runs imports in forks of a process in which everything is loaded, so that a test can start and kill many of them.

Reads a request per line, a JSON object; answers with the import's process id when it has begun and with its exit code
when it has ended, a line each. Members of a request:

    words       arguments after `batch-server`
    kill_at     the number of the file operation before which the import kills itself
    pause_in    "reading" or "writing": says `paused` once there is progress, and waits for a signal
    file_bytes  the largest file that it may write

Tasks and parts are small, so that a few kilobytes make many of them.
"""

import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batch_server.commands import import_drawings
from batch_server.importing import plan, reading
from batch_server.importing.display import ConsoleDisplay
from inkstream.command_line import Command, run_command

COMMAND = Command("batch-server", "Only what the tests need.", {"import": lambda: import_drawings})
plan.TASK_BYTES_MIN = 1 << 16
reading.PART_BYTES = 1 << 15


def answer(line: object) -> None:
    os.write(1, f"{line}\n".encode())


def kill_before(operation: int) -> None:
    """Lets this process die before its n-th operation on files, counted from 1."""
    left = operation

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in ("fsync", "mkdir", "rename", "replace", "rmdir", "unlink"):
        setattr(os, name, dying(getattr(os, name)))


def pause_in(phase: str) -> None:
    """Lets this process wait for a signal when a phase has made some progress."""
    going_on = getattr(ConsoleDisplay, phase)

    def paused(self: ConsoleDisplay, progress: Any, total: int) -> None:
        going_on(self, progress, total)
        if getattr(progress, "rows", progress):
            answer("paused")
            signal.pause()

    setattr(ConsoleDisplay, phase, paused)


def run(request: dict[str, Any]) -> int:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if "file_bytes" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
    if "kill_at" in request:
        kill_before(request["kill_at"])
    if "pause_in" in request:
        pause_in(request["pause_in"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    answers = os.dup(1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(output, "w")
    os.set_inheritable(answers, False)
    return run_command(COMMAND, request["words"])


def warm_up() -> None:
    """Compiles or loads the kernels once, for all forks."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "x.csv"
        lines.write_text('key_id,drawing,word\n1,"[[[1],[2]]]",cat\n2,"[[[1,2],[2,3],[4,5]]]",cat\n')
        words = ["import", str(lines), "--dataset", f"{folder}/x.lmdb"]
        sys.stdout, before = open(os.devnull, "w"), sys.stdout
        run_command(COMMAND, words)
        sys.stdout = before


if __name__ == "__main__":
    warm_up()
    answer("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = run(json.loads(line))
                sys.stdout.flush()
            finally:
                os._exit(code)
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
