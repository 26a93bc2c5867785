"""One of two training processes is killed, raises, freezes or gets SIGTERM: the other ends, both go on to the bit.

`python -m tests.chaos.trainers [--only KIND]`. Eight runs, each disturbed once in its second epoch and then resumed by
two processes; each is compared with one that nobody disturbed. Takes about 5 minutes on 2 idle cores.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from tests.chaos.harness import Node, Verdict, run, scratch
from tests.trainer.runs import finish, rows, start_together, steps_done, wait_until
from trainer.records.checkpoints import Checkpoints
from trainer.records.folder import RunFolder

SAMPLES = 2311
ENDS_WITHIN_S = 60
STRIKE_AT, EVERY = 33, 4
RAISES = "tests.chaos.trainers", "raising"
# What is done to a process, and the exit code and the words that the other one ends with.
KINDS = {
    "killed": (signal.SIGKILL, 1, "ended without a word"),
    "raised": (None, 1, "failed: a bug"),
    "frozen": (signal.SIGSTOP, 1, "has not been heard of for 30 s"),
    "told to stop": (signal.SIGTERM, 143, "was told to stop"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--only", choices=KINDS, help="one kind")
    only = parser.parse_args().only
    verdict = Verdict()
    with scratch(SAMPLES) as folder, ExitStack() as stack:
        os.environ |= {
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        server = stack.enter_context(Node(folder, "server"))
        undisturbed = folder / "undisturbed"
        ends = [finish(process) for process in start_together(server, undisturbed)]
        verdict.check([code for code, _ in ends] == [0, 0], "undisturbed, both processes end well", _codes(ends))
        for kind in [only] if only else KINDS:
            for number in range(2):
                _disturb(verdict, server, folder / f"{kind} {number}", kind, number, undisturbed)
    return verdict.exit_code()


def _disturb(verdict: Verdict, server: Node, out: Path, kind: str, number: int, undisturbed: Path) -> None:
    sent, expected, words = KINDS[kind]
    name = f"process {number} {kind}"
    programs = [("trainer",), ("trainer",)]
    if sent is None:
        programs[number] = RAISES
    processes = start_together(server, out, "--checkpoint-every-steps", str(EVERY), programs=programs)
    struck, other = processes[number], processes[1 - number]
    if sent is None:
        wait_until(lambda: struck.poll() is not None or other.poll() is not None)
    else:
        wait_until(lambda: steps_done(out) >= STRIKE_AT, *processes)
        struck.send_signal(sent)
    at = time.monotonic()
    try:
        code, errors = finish(other)
        took_s = time.monotonic() - at
    finally:
        if kind == "frozen":
            struck.kill()
        struck_code, struck_errors = finish(struck)
    verdict.check(took_s <= ENDS_WITHIN_S, f"{name}: the other one ends within {ENDS_WITHIN_S} s", f"{took_s:.1f} s")
    named = f"process {number} (" in errors and words in errors and "Traceback" not in errors
    verdict.check(named and code == expected, f"{name}: it says so", (code, errors.strip().splitlines()[-1:]))
    if kind == "told to stop":
        verdict.check(struck_code == 143, f"{name}: it ends in good order itself", (struck_code, struck_errors[-200:]))
    done, newest = steps_done(out), Checkpoints(RunFolder(out).checkpoints).newest()
    verdict.check(done - EVERY <= newest <= done, f"{name}: the last checkpoint is whole", f"{newest} of {done} steps")
    ends = [finish(process) for process in start_together(server, out, "--resume")]
    equal = all(rows(out, table) == rows(undisturbed, table) for table in ("steps", "evaluations"))
    verdict.check(equal, f"{name}: both go on to the bit", f"{_codes(ends)}, {len(rows(out, 'steps'))} steps")


def _codes(ends: list[tuple[int, str]]) -> str:
    return f"exit codes {[code for code, _ in ends]}"


def raising() -> int:
    """`trainer` whose input fails in the second epoch."""
    from trainer.cli import main as train
    from trainer.input import DeviceBatch, DeviceInput, HostBatch

    place = DeviceInput._place

    def place_or_raise(self: DeviceInput, batch: HostBatch) -> DeviceBatch:
        if batch.epoch == 1 and batch.step == 5:
            raise RuntimeError("a bug")
        return place(self, batch)

    with patch.object(DeviceInput, "_place", place_or_raise):
        return train(sys.argv[2:])


if __name__ == "__main__":
    run(raising if sys.argv[1:2] == ["raising"] else main)
