"""Trainings on the classes of real drawings that are large enough, kept in a folder.

A comparison of many trainings takes hours. Each is begun with --resume: one that is finished is not trained again, one
that was broken off goes on.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import inkstream

DEVICES = "cpu:2"
LARGE = 500  # drawings of a class that is taken
TRAINER = (sys.executable, "-m", "trainer")
TIMEOUT_S = 3600


class Trainings(NamedTuple):
    """Where trainings take place.

    Attributes:
        address: Of the batch server.
        dataset: Its name there.
        classes: The large ones.
        folder: For runs.
    """

    address: str
    dataset: str
    classes: tuple[str, ...]
    folder: Path

    @classmethod
    def on(cls, address: str, dataset: str, folder: Path) -> "Trainings":
        """On the large classes of a dataset."""
        with inkstream.connect(address) as client:
            found = client.dataset(dataset)
        named = zip(found.classes, found.class_counts, strict=True)
        return cls(address, dataset, tuple(name for name, count in named if count >= LARGE), folder)

    def fit(self, name: str, *options: str) -> Path:
        """The folder of a finished run."""
        run = self.folder / name
        if not (run / "curve.png").exists():
            data = ["--server", self.address, "--dataset", self.dataset, "--classes", *self.classes]
            print(f"training {run}", file=sys.stderr, flush=True)
            trainer("fit", *options, *data, "--devices", DEVICES, "--out", str(run), "--resume")
        return run


def trainer(*words: str) -> str:
    """What a command of the trainer prints; its complaints go where this program's go.

    Raises:
        CalledProcessError: It failed.
        TimeoutExpired: It took an hour.
    """
    done = subprocess.run([*TRAINER, *words], check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S)
    return done.stdout


def rows_of(log: Path) -> list[dict[str, Any]]:
    """Of a run's steps.jsonl or evaluations.jsonl."""
    return [json.loads(line) for line in log.read_text().splitlines()]
