"""A trained model: what evaluating, predicting and exporting read of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import xxhash

from inkstream.command_line import UsageError
from trainer.models import outline
from trainer.optimization.updates import Weights
from trainer.records.checkpoint_names import AVERAGE, find_checkpoint
from trainer.records.folder import RunFolder
from trainer.run import Run


@dataclass(frozen=True)
class Trained:
    """A model of a checkpoint, in host memory.

    Args:
        path: Folder of the run.
        source: Folder of the checkpoint.
        step: Its number; of an average, that of the last one in it.
        run: What was trained.
        graph: What `nnx.merge` needs beside the weights.
        weights: NumPy arrays.
    """

    path: Path
    source: Path
    step: int
    run: Run
    graph: Any
    weights: Weights

    @property
    def checkpoint(self) -> str:
        """What `--checkpoint` calls it: a step, or `average`."""
        return AVERAGE if self.source.parent.name == AVERAGE else str(self.step)

    @property
    def digest(self) -> str:
        """Of the weights: equal ones, equal digest."""
        digest = xxhash.xxh3_64()
        for array in jax.tree.leaves(self.weights):
            digest.update(array.tobytes())
        return digest.hexdigest()


def load(path: Path, checkpoint: str) -> Trained:
    """Loads a model.

    Args:
        path: Folder of the run, or of one of its checkpoints.
        checkpoint: `best`, `last`, `average`, a number, or a name in `models/`.

    Raises:
        UsageError: There is no such checkpoint.
        Failure: The run has none, or not of this version.
    """
    checkpoints, step = find_checkpoint(RunFolder(path), checkpoint)
    run = Run.from_json(checkpoints.record(step)["run"])
    model = outline(run.model, run.pictures, classes=len(run.classes))
    weights = checkpoints.weights(step, like=Weights(model.params, model.stats))
    return Trained(path, checkpoints.folder / str(step), step, run, model.graph, weights)


def load_all(paths: Sequence[Path], checkpoints: Sequence[str]) -> list[Trained]:
    """The models of these checkpoints of each of these runs.

    Raises:
        UsageError: As `load`, or one comes twice.
        Failure: As `load`.
    """
    models: dict[Path, Trained] = {}
    for path in paths:
        for checkpoint in checkpoints:
            model = load(path, checkpoint)
            if model.source.resolve() in models:
                raise UsageError(
                    f"{path}, checkpoint {model.checkpoint}, is named twice ({checkpoint!r} is that, too): name each "
                    "once"
                )
            models[model.source.resolve()] = model
    return list(models.values())
