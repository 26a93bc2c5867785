"""A run's folder.

config.json              what was asked for, what that became, what trains it (`trainer.configuration`)
pipeline.json            the resolved pipeline, from which `batch-server preview --pipeline` draws any batch again
classes.txt              the class of each output of the model, one a line
checkpoints/             one folder each, named by the number of steps done (`trainer.checkpoints`)
steps.csv, .jsonl        a row per step (`trainer.logs`)
evaluations.csv, .jsonl  a row per evaluation
curve.png                the learning curve, when the run is finished
not-finite.json, .png    the batch with which the run broke (`trainer.not_finite`)
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from inkstream.command_line import Failure, UsageError
from trainer.checkpoints import Checkpoints
from trainer.configuration import Asked
from trainer.logs import read_rows
from trainer.optimization import MONITORS
from trainer.run import Run


class RunFolder:
    """Where the parts of a run are."""

    def __init__(self, path: Path):
        """Describes the folder; creates nothing."""
        self.path = path
        self.config = path / "config.json"
        self.checkpoints = path / "checkpoints"
        self.steps = path / "steps.jsonl"
        self.evaluations = path / "evaluations.jsonl"
        self.curve = path / "curve.png"
        self.not_finite = path / "not-finite.json"

    def check_free(self, resume: bool) -> None:
        """Refuses to overwrite what is there.

        Raises:
            UsageError: The folder holds a run that is not to be resumed, or something else.
        """
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not self.config.is_file():
            raise UsageError(f"{self.path} exists and is not a run: choose another --out")
        if not resume:
            raise UsageError(f"{self.path} holds a run: --resume to go on with it, or choose another --out")

    def check_same(self, before: Run, now: Run) -> None:
        """Refuses to go on with another run than the one that is here.

        Raises:
            UsageError: It differs; the message names each setting with both values.
        """
        if differences := before.differences(now):
            raise UsageError(
                f"{self.path} cannot be resumed as another run: {'; '.join(differences)}. Use the settings that it was "
                "started with (config.json), or choose another --out"
            )

    def describe(self, run: Run, asked: Asked, environment: Mapping[str, Any]) -> None:
        """Creates the folder and writes what people and programs may want to read about the run.

        Args:
            run: What is trained.
            asked: The command.
            environment: What trains it, by `trainer.configuration.environment`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for broken in (self.not_finite, self.not_finite.with_suffix(".png")):
            broken.unlink(missing_ok=True)  # of a start before this one
        about = {"command": asked.command, "options": asked.options, "run": run.to_json(), "environment": environment}
        self.config.write_text(json.dumps(about, indent=2) + "\n")
        run.pipeline_file.save(self.path / "pipeline.json")
        (self.path / "classes.txt").write_text("".join(f"{name}\n" for name in run.classes))


def best_step(rows: Iterable[Mapping[str, Any]], monitor: str) -> int | None:
    """The step of the evaluation with the best figure (of equals: the lowest loss in validation); None without one.

    Args:
        rows: Of the log of evaluations.
        monitor: The figure, a key of `MONITORS`.
    """
    sign = 1 if MONITORS[monitor] else -1
    known = [row for row in rows if row[monitor] is not None and math.isfinite(row[monitor])]
    return max(known, key=lambda row: (sign * row[monitor], -(row["loss"] or 0)))["step"] if known else None


def find_checkpoint(folder: RunFolder, which: str) -> tuple[Checkpoints, int]:
    """The checkpoints of a run and the number of the one that is asked for.

    Args:
        folder: Of the run.
        which: `best`, `last`, or a number.

    Raises:
        UsageError: There is no such folder, or no such checkpoint.
        Failure: The run has none yet.
    """
    if not folder.path.is_dir():
        raise UsageError(f"RUN must be the folder that `trainer fit --out` wrote, {folder.path} does not exist")
    checkpoints = Checkpoints(folder.checkpoints)
    steps = checkpoints.steps()
    if not steps:
        raise Failure(f"{folder.path} holds no checkpoint: is it the folder that `trainer fit --out` wrote?")
    if which == "last":
        return checkpoints, steps[-1]
    if which == "best":
        monitor = Run.from_json(checkpoints.record(steps[-1])["run"]).optimization.monitor
        best = best_step((row for row in read_rows(folder.evaluations) if row["step"] in steps), monitor)
        return checkpoints, best if best is not None else steps[-1]
    if not which.isdigit() or int(which) not in steps:
        raise UsageError(f"--checkpoint must be best, last or one of {', '.join(map(str, steps))}, got {which!r}")
    return checkpoints, int(which)
