"""Predicting the class of every sample of a dataset."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inkstream.command_line import EXIT_DONE
from trainer.classification import guesses
from trainer.devices import choose_devices
from trainer.disk import writing_to
from trainer.interrupts import StopSignals
from trainer.parallel import Parallel
from trainer.prediction.balancing import Balance, Probabilities, balance
from trainer.prediction.ensemble import Ensemble, Samples
from trainer.prediction.pictures import Captioned, draw_sheet, guessed
from trainer.prediction.submission import Format, Submission
from trainer.prediction.views import Views
from trainer.progress import ProgressLine
from trainer.records.trained import load_all
from trainer.service import Service

PICTURES = 24


@dataclass(frozen=True)
class PredictRequest:
    """What `trainer predict` was asked to do.

    Args:
        run_folders: Of the runs whose models are averaged.
        checkpoints: Of each of them, as `trainer.records.trained.load` takes them.
        views: What the models are shown.
        service: The batch servers.
        dataset: Its name there; it needs no labels.
        split: `train`, `validation` or `all`.
        batch_size: None means the first run's.
        devices: See `trainer.devices`.
        out: The file to write.
        top: How many classes are written with their probabilities; None for the competition's format.
        balanced: Whether all classes are known to come equally often (`trainer.prediction.balancing`).
        pictures: A PNG with a few predictions, before any balancing; or None.
    """

    run_folders: list[Path]
    checkpoints: list[str]
    views: Views
    service: Service
    dataset: str
    split: str
    batch_size: int | None
    devices: str
    out: Path
    top: int | None
    balanced: bool
    pictures: Path | None


def predict(request: PredictRequest) -> int:
    """Writes guesses for every sample, in dataset order, and returns the exit code.

    Raises:
        UsageError: The models cannot be averaged, or there is no such checkpoint.
        InkstreamError: The servers refuse or fail.
        Failure: The disk is full.
    """
    with (
        StopSignals() as stop,
        request.service.connect() as client,
        writing_to(request.out, "and run it again to go on"),
    ):
        parallel = Parallel(choose_devices(request.devices))
        models = load_all(request.run_folders, request.checkpoints)
        samples = Samples(request.dataset, request.split, None, request.batch_size)
        ensemble = Ensemble(models, samples, request.views, parallel)
        resolved, identity = client.resolve(ensemble.plain), ensemble.identity(client)
        format, classes = Format(ensemble.classes, request.top), len(ensemble.classes)
        sink: Submission | Probabilities
        if request.balanced:
            kept = request.out.with_name(request.out.name + ".probabilities")
            sink = Probabilities(kept, identity, classes)
        else:
            sink = Submission(request.out, identity | {"columns": format.header}, format)
        # Pictures are taken evenly from the whole dataset, in which a class's drawings often stand together.
        shown = np.unique(np.linspace(0, resolved.samples - 1, PICTURES if request.pictures else 0).astype(int))
        pictures: list[Captioned] = []
        with sink, ProgressLine(resolved.samples, "samples", done=sink.rows) as progress:
            # The last batch is always done again, so that there is a place in the epoch to begin at.
            whole_batches = min(sink.rows // ensemble.plain.batch_size, resolved.steps_per_epoch - 1)
            sink.keep(whole_batches * ensemble.plain.batch_size)
            stop.defer()
            for batch, rows in ensemble.infer(
                client,
                request.service,
                resolved.classes,
                first_step=whole_batches,
                labelled=False,
                stopping=stop.asked,
            ):
                real = batch["key_id"] != 0  # key id 0 is padding; a blank row is a sample and gets its guesses
                sink.append(batch["key_id"][real], rows.log_probabilities[real])
                for row in shown - batch.step * ensemble.plain.batch_size:
                    if 0 <= row < real.sum():
                        label = batch["label"][row]
                        truth = resolved.classes[label] if label >= 0 else None
                        (best,) = guesses(rows.log_probabilities[row][None])
                        pictures.append(guessed(batch["image"][row], [ensemble.classes[each] for each in best], truth))
                progress.update(sink.rows, "predicting")
            if stop.exit_code is None and isinstance(sink, Probabilities):
                progress.update(sink.rows, "balancing")
                balanced = balance(lambda: (chunk for _, chunk in sink.chunks()), classes, stop.asked)
            if stop.exit_code is not None:
                progress.say(f"stopped after {sink.rows:,} of {resolved.samples:,} samples; run it again to go on")
                return stop.exit_code
            if isinstance(sink, Probabilities):
                with Submission(request.out, None, format) as submission:
                    _write_balanced(sink, balanced, submission, classes)
            else:
                sink.finish()
    print(f"{resolved.samples:,} predictions are in {request.out}", flush=True)
    if request.pictures is not None and pictures:
        draw_sheet(request.pictures, pictures, ensemble.plain.render)
    return EXIT_DONE


def _write_balanced(probabilities: Probabilities, balance: Balance, submission: Submission, classes: int) -> None:
    """Writes the guesses that balancing makes of probabilities, discards these, and says what has changed."""
    before, after = np.zeros((2, classes), np.int64)
    submission.keep(0)
    for key_ids, log_probabilities in probabilities.chunks():
        applied = balance.applied(log_probabilities)
        before += np.bincount(log_probabilities.argmax(axis=1), minlength=classes)
        after += np.bincount(applied.argmax(axis=1), minlength=classes)
        submission.append(key_ids, applied)
    submission.finish()
    probabilities.discard()
    print(
        f"classes are balanced, by statistics of all these samples: each is guessed first {after.min():,} to "
        f"{after.max():,} times, before {before.min():,} to {before.max():,} times; their sums of probabilities are "
        f"within {balance.spread:.1%} of their mean after {balance.rounds} rounds",
        flush=True,
    )
