"""A trained model, ready to be run on another stream."""

from dataclasses import dataclass
from pathlib import Path

import inkstream
from trainer.folder import RunFolder, find_checkpoint
from trainer.inference import InferenceStep
from trainer.models import outline
from trainer.parallel import Parallel
from trainer.run import Run
from trainer.steps import make_inference_step
from trainer.updates import Weights


@dataclass(frozen=True)
class Trained:
    """A model of a checkpoint on the devices.

    Args:
        run: What was trained.
        step: The checkpoint's number.
        weights: Replicated.
        infer: See `trainer.steps.make_inference_step`.
    """

    run: Run
    step: int
    weights: Weights
    infer: InferenceStep


def load(path: Path, checkpoint: str, parallel: Parallel) -> Trained:
    """Loads a model.

    Args:
        path: Folder of the run.
        checkpoint: `best`, `last`, or a number.
        parallel: Where the model goes.

    Raises:
        UsageError: There is no such checkpoint.
        Failure: The run has none, or not of this version.
    """
    checkpoints, step = find_checkpoint(RunFolder(path), checkpoint)
    run = Run.from_json(checkpoints.record(step)["run"])
    model = outline(run.model, run.pictures, classes=len(run.classes))
    weights = checkpoints.weights(step, like=Weights(model.params, model.stats))
    step_function = make_inference_step(model.graph, run.pixels, run.optimization.compute)
    return Trained(run, step, parallel.replicate(weights), parallel.infer(step_function))


def pipeline_for(
    run: Run, dataset: str, split: str, batch_size: int | None, only: inkstream.Filter | None
) -> inkstream.Pipeline:
    """Pictures as the run's were drawn, but not varied and in dataset order."""
    return run.pipeline.replace(
        dataset=dataset,
        split=split,
        batch_size=batch_size or run.pipeline.batch_size,
        augment=None,
        shuffle=False,
        class_balanced=False,
        filter=only,
    )
