"""The learning-rate range test on what `trainer fit` would train: its devices, model, optimizer and batches."""

import dataclasses
import math
from dataclasses import dataclass

from inkstream.command_line import Failure
from inkstream.pipeline import Pipeline
from trainer.devices import choose_devices
from trainer.input import DeviceInput
from trainer.interrupts import StopSignals
from trainer.learning_rate.range_test import MOVED, Curve, Point, Rise, Suggestion, suggestion
from trainer.models import build
from trainer.optimization.settings import Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.progress import ProgressLine
from trainer.randomness import Position
from trainer.row_weights import RowWeights
from trainer.run import Run, outputs_of_labels
from trainer.sample_weights import SampleWeights
from trainer.service import Service
from trainer.settings import ModelSettings
from trainer.steps import make_train_step
from trainer.weights.fitting import pretrained


@dataclass(frozen=True)
class FindRequest:
    """What `trainer find-lr` was asked to do; as for `trainer fit` where names are equal.

    Args:
        service: The batch servers.
        pipeline: Of the training split, with remainder `pad`.
        model: Which model.
        optimization: How it would be trained; its schedule and its end are not looked at.
        sample_weights: Those whose digest `optimization` has.
        devices: See `trainer.devices`.
        rise: Of the rate.
    """

    service: Service
    pipeline: Pipeline
    model: ModelSettings
    optimization: Optimization
    sample_weights: SampleWeights | None
    devices: str
    rise: Rise


@dataclass(frozen=True)
class Found:
    """What a range test found.

    Args:
        points: An update each; the losses are finite.
        suggestion: See `trainer.learning_rate.range_test`.
        rows: Of an update, all devices together.
        devices: How many shared them.
    """

    points: tuple[Point, ...]
    suggestion: Suggestion
    rows: int
    devices: int


def find_lr(request: FindRequest) -> Found:
    """Trains at rising rates, and forgets the model.

    Raises:
        UsageError: The request makes no sense.
        InkstreamError: The servers refuse or fail.
        Failure: The losses say nothing.
    """
    rise = request.rise
    with StopSignals(), request.service.connect() as client:
        parallel = Parallel(choose_devices(request.devices))
        parallel.check_batch_size(request.pipeline.batch_size, in_pairs=request.optimization.mixup > 0)
        resolved = client.resolve(request.pipeline)
        run = Run.resolve(request.model, _at_a_constant_rate(request.optimization, rise.low), resolved)
        settings, timetable = run.optimization, Timetable.of(run.optimization, resolved.steps_per_epoch)
        outputs = outputs_of_labels(resolved.classes, run.classes)
        weights = RowWeights.resolve(client, run, request.sample_weights)

        seed = run.pipeline.seed
        model = build(run.model, run.pictures, classes=len(run.classes), seed=seed)
        model = pretrained(run.model, model, say=lambda text: None)
        updates = Updates(settings, timetable, run.learning_rate)
        state = parallel.replicate(updates.begin(Weights(model.params, model.stats)))
        train_step = parallel.train(make_train_step(model.graph, run.pixels, settings, updates, seed=seed))

        curve = Curve()
        stream = client.stream(run.pipeline, epochs=None, compression=request.service.compression)
        with (
            DeviceInput(stream, parallel, outputs, weights=weights) as batches,
            ProgressLine(rise.updates, "updates", stderr=True) as progress,
        ):
            loss = samples = 0.0  # of the update that is under way
            for batch in batches:
                position = Position(batch.host.epoch, batch.host.step)
                factor = rise.factor(timetable.update(*position))
                state, figures = train_step(state, batch.arrays, position, factor)
                loss += float(figures["loss"]) * float(figures["samples"])
                samples += float(figures["samples"])
                if not timetable.ends_update(position.step):
                    continue
                if not math.isfinite(loss):
                    break
                curve.add(rise.low * factor, loss / max(samples, 1))
                loss = samples = 0.0
                progress.update(len(curve.points), f"loss {curve.points[-1].smoothed:.4f}")
                if curve.diverged or len(curve.points) == rise.updates:
                    break
    return Found(
        tuple(curve.points), _suggested(curve), run.pipeline.batch_size * settings.accumulate, len(parallel.devices)
    )


def _at_a_constant_rate(asked: Optimization, rate: float) -> Optimization:
    """What changes a step's loss, at a rate that the test multiplies."""
    return dataclasses.replace(
        asked,
        steps=None,
        learning_rate=rate,
        reference_batch=None,
        schedule="constant",
        warmup=0,
        ema_decay=None,
        early_stopping=None,
    )


def _suggested(curve: Curve) -> Suggestion:
    found = suggestion(curve.points) if curve.points else None
    if found is None:
        tried = f"{curve.points[0].rate:.1e} to {curve.points[-1].rate:.1e}" if curve.points else "the first"
        raise Failure(
            f"at rates from {tried} the loss did not fall and rise again by {MOVED:.0%}: widen --min-rate and "
            "--max-rate, or take more --updates"
        )
    return found
