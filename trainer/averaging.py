"""The average of a run's last checkpoints: stochastic weight averaging (Izmailov et al. 2018, arXiv 1803.05407).

Means of parameters have other activations than any of the models had, so the running statistics of batch normalization
are not averaged but measured anew on training batches, as that paper says: the mean over batches, by their rows.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import inkstream
from inkstream.command_line import UsageError
from trainer.devices import choose_devices
from trainer.input import DeviceInput
from trainer.interrupts import StopSignals
from trainer.models import ModelState, outline
from trainer.optimization.updates import Weights
from trainer.parallel import Parallel
from trainer.prediction.evaluate import check_known
from trainer.progress import ProgressLine
from trainer.randomness import Position
from trainer.records.checkpoints import Checkpoints
from trainer.records.folder import RunFolder
from trainer.run import Run, output_classes, outputs_of_labels
from trainer.service import Service
from trainer.steps import make_statistics_step


@dataclass(frozen=True)
class AverageRequest:
    """What `trainer average` was asked to do.

    Args:
        run_folder: Of the run.
        last: How many checkpoints, at least 2.
        service: The batch servers.
        dataset: Its name there; what the run was trained on.
        batches: From how many batches statistics are measured, at least 1; an epoch at most.
        devices: See `trainer.devices`.
    """

    run_folder: Path
    last: int
    service: Service
    dataset: str
    batches: int
    devices: str


def average(request: AverageRequest) -> list[int]:
    """Writes the average into the run's folder, in place of one that is there; returns the checkpoints' numbers.

    Raises:
        UsageError: There are fewer checkpoints, or the dataset has a class that the model does not know.
        InkstreamError: The servers refuse or fail.
        Failure: A checkpoint is not of this version.
    """
    parallel = Parallel(choose_devices(request.devices))  # before checkpoints make JAX look for devices
    folder = RunFolder(request.run_folder)
    checkpoints = Checkpoints(folder.checkpoints)
    steps = checkpoints.steps()[-request.last :]
    if len(steps) < request.last:
        raise UsageError(
            f"--last must be at most {len(steps)}, the checkpoints that {folder.path} holds, got {request.last}: a run "
            "keeps that of every N-th evaluation with --keep-every N"
        )
    run = Run.from_json(checkpoints.record(steps[-1])["run"])
    model = outline(run.model, run.pictures, classes=len(run.classes))
    like = Weights(model.params, model.stats)
    weights = mean([checkpoints.weights(step, like) for step in steps])
    if weights.stats:
        weights = _with_statistics(request, parallel, run, model, weights)
    averages = Checkpoints(folder.average)
    averages.clear()
    averages.prepare()
    averages.save_model(steps[-1], weights, {"run": run.to_json(), "averaged": steps})
    return steps


def mean(models: list[Weights]) -> Weights:
    """Array by array; float32."""
    return jax.tree.map(lambda *arrays: np.mean(arrays, axis=0, dtype=np.float64).astype(np.float32), *models)


def _with_statistics(
    request: AverageRequest, parallel: Parallel, run: Run, model: ModelState, weights: Weights
) -> Weights:
    """The same parameters with statistics of the first batches of an epoch, varied as in training but not mixed."""
    with StopSignals(), request.service.connect() as client:
        pipeline = run.pipeline.replace(dataset=request.dataset)
        parallel.check_batch_size(pipeline.batch_size)
        resolved = client.resolve(pipeline)
        check_known(run, output_classes(resolved.classes, pipeline), request.dataset)
        step = parallel.train(make_statistics_step(model.graph, run.pixels, run.optimization, seed=pipeline.seed))
        state = parallel.replicate(weights)
        stream: inkstream.Stream = client.stream(pipeline, epochs=1, compression=request.service.compression)
        count = min(request.batches, resolved.steps_per_epoch)
        with (
            DeviceInput(stream, parallel, outputs_of_labels(resolved.classes, run.classes)) as batches,
            ProgressLine(count, "batches", stderr=True) as progress,
        ):
            seen = 0.0
            for done, batch in enumerate(itertools.islice(batches, count), start=1):
                rows = float(np.sum(batch.arrays["mask"]))
                seen += rows
                position = Position(batch.host.epoch, batch.host.step)
                state, _ = step(state, batch.arrays, position, 1 - rows / max(seen, 1))
                jax.block_until_ready(state)  # steps ahead of it could block a CPU's threads (`Parallel.steps_ahead`)
                progress.update(done, "measuring statistics")
        return jax.tree.map(np.array, state)
