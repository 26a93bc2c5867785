"""Predicting the class of every sample of a dataset."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inkstream.command_line import EXIT_DONE
from trainer.devices import choose_devices
from trainer.disk import writing_to
from trainer.inference import infer
from trainer.input import DeviceInput
from trainer.interrupts import StopSignals
from trainer.parallel import Parallel
from trainer.pictures import Guessed, draw_guesses
from trainer.progress import ProgressLine
from trainer.run import outputs_of_labels
from trainer.service import Service
from trainer.steps import make_inference_step
from trainer.submission import Submission, words
from trainer.trained import load, pipeline_for

PICTURES = 24


@dataclass(frozen=True)
class PredictRequest:
    """What `trainer predict` was asked to do.

    Args:
        run_folder: Of the run.
        checkpoint: `best`, `last` or a number.
        service: The batch servers.
        dataset: Its name there; it needs no labels.
        split: `train`, `validation` or `all`.
        batch_size: None means the run's.
        devices: See `trainer.devices`.
        out: The file to write.
        pictures: A PNG with a few predictions, or None.
    """

    run_folder: Path
    checkpoint: str
    service: Service
    dataset: str
    split: str
    batch_size: int | None
    devices: str
    out: Path
    pictures: Path | None


def predict(request: PredictRequest) -> int:
    """Writes three guesses for every sample, in dataset order, and returns the exit code.

    Raises:
        InkstreamError: The servers refuse or fail.
        Failure: The disk is full.
    """
    with (
        StopSignals() as stop,
        request.service.connect() as client,
        writing_to(request.out, "and run it again to go on"),
    ):
        parallel = Parallel(choose_devices(request.devices))
        trained = load(request.run_folder, request.checkpoint)
        run, weights = trained.run, parallel.replicate(trained.weights)
        infer_rows = parallel.infer(make_inference_step(trained.graph, run.pixels, run.optimization.compute))
        pipeline = pipeline_for(run, request.dataset, request.split, request.batch_size, only=None)
        parallel.check_batch_size(pipeline.batch_size)
        resolved = client.resolve(pipeline)
        names = run.classes
        identity = {"run": run.to_json(), "step": trained.step, "digest": resolved.digest}
        # Pictures are taken evenly from the whole dataset, in which a class's drawings often stand together.
        shown = np.unique(np.linspace(0, resolved.samples - 1, PICTURES if request.pictures else 0).astype(int))
        guessed: list[Guessed] = []
        with (
            Submission(request.out, identity) as submission,
            ProgressLine(resolved.samples, "samples", done=submission.rows) as progress,
        ):
            whole_batches = submission.rows // pipeline.batch_size
            submission.keep(whole_batches * pipeline.batch_size)
            stop.defer()
            batches = DeviceInput(
                client.stream(pipeline, start=(0, whole_batches), compression=request.service.compression),
                parallel,
                outputs_of_labels(resolved.classes, names),
                labelled=False,
                stopping=stop.asked,
            )
            for batch, rows in infer(infer_rows, weights, batches):
                real = batch.host["key_id"] != 0  # key id 0 is padding; a blank row is a sample and gets its guesses
                guesses = [[names[output] for output in row] for row in rows["guesses"][real]]
                submission.append(batch.host["key_id"][real], [words(row) for row in guesses])
                for row in shown - batch.host.step * pipeline.batch_size:
                    if 0 <= row < len(guesses):
                        label = batch.host["label"][row]
                        truth = resolved.classes[label] if label >= 0 else None
                        guessed.append(Guessed(batch.host["image"][row], guesses[row], truth))
                progress.update(submission.rows, "predicting")
            if stop.exit_code is not None:
                progress.say(
                    f"stopped after {submission.rows:,} of {resolved.samples:,} samples; run it again to go on"
                )
                return stop.exit_code
            submission.finish()
    print(f"{resolved.samples:,} predictions are in {request.out}", flush=True)
    if request.pictures is not None and guessed:
        draw_guesses(request.pictures, guessed, run.pipeline.render)
    return EXIT_DONE
