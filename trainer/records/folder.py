"""A run's folder.

config.json              what was asked for, what that became, what trains it (`trainer.records.configuration`)
pipeline.json            the resolved pipeline, from which `batch-server preview --pipeline` draws any batch again
classes.txt              the class of each output of the model, one a line
checkpoints/             one folder each, named by the number of steps done (`trainer.records.checkpoints`)
average/                 the average of the last checkpoints, if asked for (`trainer.averaging`)
models/                  links to them whose names say more (`trainer.records.checkpoint_names`)
steps.csv, .jsonl        a row per step (`trainer.records.logs`)
evaluations.csv, .jsonl  a row per evaluation
tensorboard/             both logs as event files, if asked for (`trainer.records.tensorboard`)
curve.png                the learning curve, when the run is finished
not-finite.json, .png    the batch with which the run broke (`trainer.records.not_finite`)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkstream.command_line import UsageError
from trainer.records.configuration import Asked

if TYPE_CHECKING:  # to look at folders takes no JAX
    from trainer.run import Run


class RunFolder:
    """Where the parts of a run are."""

    def __init__(self, path: Path):
        """Describes the folder; creates nothing."""
        self.path = path
        self.config = path / "config.json"
        self.checkpoints = path / "checkpoints"
        self.average = path / "average"
        self.models = path / "models"
        self.steps = path / "steps.jsonl"
        self.evaluations = path / "evaluations.jsonl"
        self.events = path / "tensorboard"
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

    def check_same(self, before: "Run", now: "Run") -> None:
        """Refuses to go on with another run than the one that is here.

        Raises:
            UsageError: It differs; the message names each setting with both values.
        """
        if differences := before.differences(now):
            raise UsageError(
                f"{self.path} cannot be resumed as another run: {'; '.join(differences)}. Use the settings that it was "
                "started with (config.json), or choose another --out"
            )

    def describe(self, run: "Run", asked: Asked, environment: Mapping[str, Any]) -> None:
        """Creates the folder and writes what people and programs may want to read about the run.

        Args:
            run: What is trained.
            asked: The command.
            environment: What trains it, by `trainer.records.configuration.environment`.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for ended in (self.curve, self.not_finite, self.not_finite.with_suffix(".png")):
            ended.unlink(missing_ok=True)  # how a start before this one ended
        about = {"command": asked.command, "options": asked.options, "run": run.to_json(), "environment": environment}
        self.config.write_text(json.dumps(about, indent=2) + "\n")
        run.pipeline_file.save(self.path / "pipeline.json")
        (self.path / "classes.txt").write_text("".join(f"{name}\n" for name in run.classes))
