"""Trainings as real processes: started, watched, stopped and compared."""

import csv
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Protocol

import jax
import numpy as np

from trainer.records.checkpoints import Checkpoints

BOUND_S = 240
TIMES = ("data_wait_s", "seconds", "samples_per_s", "data_wait_share")

Training = subprocess.Popen[str]


class Server(Protocol):
    """Whose batches are trained on."""

    address: str


def words(server: Server, out: Path, *more: str, devices: str = "cpu:2") -> list[str]:
    """The arguments of a training of 58 steps with dropout and batch normalization."""
    given = f"--server {server.address} --dataset scribbles --size 16 --batch-size 64 --validation 0.2 --epochs 2"
    return [*f"fit {given} --rotate-deg 10 --dropout 0.3 --devices {devices} --out".split(), str(out), *more]


def start(arguments: Sequence[str], *, program: Sequence[str] = ("trainer",)) -> Training:
    """Starts a training; `program` is what `python -m` runs."""
    command = [sys.executable, "-m", *program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_together(
    server: Server, out: Path, *more: str, programs: Sequence[Sequence[str]] = (("trainer",), ("trainer",))
) -> list[Training]:
    """Starts a training of two processes with a device each; of each, `programs` says what `python -m` runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    together = [f"--coordinator 127.0.0.1:{port} --processes 2 --process-id {number}".split() for number in range(2)]
    return [
        start(words(server, out, *options, *more, devices="cpu"), program=program)
        for options, program in zip(together, programs, strict=True)
    ]


def finish(process: Training) -> tuple[int, str]:
    """Exit code and standard error."""
    try:
        _, errors = process.communicate(timeout=BOUND_S)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return process.returncode, errors


def wait_until(happened: Callable[[], object], *processes: Training) -> None:
    """Looks often, for as long as all processes live, and leaves none behind that waits in vain."""
    deadline = time.monotonic() + BOUND_S
    try:
        while not happened():
            for process in processes:
                assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            Event().wait(0.0005)
    except BaseException:
        for process in processes:
            process.kill()
            process.communicate()
        raise


def rows(out: Path, table: str) -> list[dict[str, str]]:
    """A log without its times."""
    with open(out / f"{table}.csv", newline="") as file:
        return [{name: cell for name, cell in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def steps_done(out: Path) -> int:
    """Counts the whole lines after the heading of a file that is being written."""
    try:
        return max(0, (out / "steps.csv").read_bytes().count(b"\n") - 1)
    except FileNotFoundError:
        return 0


def assert_equal_runs(out: Path, undisturbed: Path) -> None:
    """To the bit: losses are written so that none is lost."""
    assert rows(out, "steps") == rows(undisturbed, "steps")
    assert rows(out, "evaluations") == rows(undisturbed, "evaluations")


def host_state(out: Path) -> dict[str, bytes]:
    """The bytes of all arrays of the newest checkpoint, by their paths."""
    checkpoints = Checkpoints(out / "checkpoints")
    assert checkpoints._manager is not None
    restored = checkpoints._manager.restore(checkpoints.newest())
    leaves = jax.tree_util.tree_leaves_with_path({"model": restored["model"], "training": restored["training"]})
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}
