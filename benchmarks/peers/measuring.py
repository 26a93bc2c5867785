"""Runs every program, round by round, so that a busy moment hits all alike."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.dataset import served
from benchmarks.peers.json_drawings import write_json
from benchmarks.peers.report import tables_of
from benchmarks.peers.settings import PINS, settings
from benchmarks.table import Table
from deploy.pinned_environment import python_with

ROUNDS = 3
_PROGRAM_TIMEOUT_S = 120


def tables(dataset: Path) -> list[Table]:
    """Compares, with a dataset that is alone in its folder."""
    python = python_with(PINS)
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    with TemporaryDirectory() as scratch, served(dataset) as address:
        drawings = Path(scratch) / "json.lmdb"
        write_json(dataset, drawings)
        for number in range(ROUNDS):
            for way, setting, command in settings(python, drawings, dataset, address, seed=2 * number):
                rate = drawings_per_s(command)
                rates[way, setting].append(rate)
                print(f"round {number + 1} of {ROUNDS}: {way} {setting}: {rate:,.0f}", file=sys.stderr, flush=True)
    return tables_of(rates)


def drawings_per_s(command: Sequence[str]) -> float:
    """What a program measured; it and its children have ended then.

    Raises:
        RuntimeError: It failed, with what it said.
        subprocess.TimeoutExpired: It took longer than two minutes.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            said, complained = process.communicate(timeout=_PROGRAM_TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{complained}")
    return json.loads(said)["drawings_per_s"]
