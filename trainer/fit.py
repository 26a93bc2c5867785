"""Training, from the first batch to the learning curve."""

from dataclasses import dataclass
from pathlib import Path

import inkstream
from inkstream.command_line import EXIT_DONE
from inkstream.listening import ListenAddress
from inkstream.pipeline import Pipeline
from trainer.checkpoints import Checkpoints, SaveClock
from trainer.curve import draw_curve
from trainer.devices import choose_devices
from trainer.folder import RunFolder
from trainer.inference import measure
from trainer.input import DeviceInput
from trainer.interrupts import StopSignals
from trainer.journal import Journal
from trainer.logs import read_rows
from trainer.models import build
from trainer.monitoring import metrics_port
from trainer.optimizers import make_optimizer, make_schedule
from trainer.parallel import Parallel
from trainer.progress import ProgressLine
from trainer.randomness import Position
from trainer.run import Run, outputs_of_labels
from trainer.service import Service
from trainer.settings import Cadence, ModelSettings, Optimization
from trainer.steps import TrainState, make_inference_step, make_train_step


@dataclass(frozen=True)
class FitRequest:
    """What `trainer fit` was asked to do.

    Args:
        service: The batch servers.
        pipeline: Of the training split, with remainder `pad`.
        model: Which model.
        optimization: How it is trained.
        cadence: When checkpoints are written.
        out: Folder of the run.
        devices: See `trainer.devices`.
        resume: Whether a run in `out` goes on.
        metrics: Where its figures are shown, None not at all.
    """

    service: Service
    pipeline: Pipeline
    model: ModelSettings
    optimization: Optimization
    cadence: Cadence
    out: Path
    devices: str
    resume: bool
    metrics: ListenAddress | None


def fit(request: FitRequest) -> int:
    """Trains a model and returns the exit code.

    Raises:
        UsageError: The request makes no sense, or not for what `out` holds.
        InkstreamError: The servers refuse or fail.
    """
    folder = RunFolder(request.out)
    folder.check_free(request.resume)
    parallel = Parallel(choose_devices(request.devices))
    parallel.check_batch_size(request.pipeline.batch_size)

    with (
        StopSignals() as stop,
        metrics_port(request.metrics) as figures_shown,
        request.service.connect() as client,
    ):
        # What the servers make of the pipeline decides what the run is.
        resolved = client.resolve(request.pipeline)
        run = Run.resolve(request.model, request.optimization, resolved)
        outputs = outputs_of_labels(resolved.classes, run.classes)
        held_out = run.pipeline.replace(split="validation", augment=None, shuffle=False)
        if held_out.validation:
            client.resolve(held_out)  # an empty split is refused now, not after the first epoch
        steps_per_epoch, epochs = resolved.steps_per_epoch, run.optimization.epochs
        total_steps = steps_per_epoch * epochs

        # The model: new, or as the newest checkpoint has it.
        seed = run.pipeline.seed
        model = build(run.model, channels=run.pipeline.render.channels, classes=len(run.classes), seed=seed)
        optimizer = make_optimizer(run.optimization)
        state = TrainState(model.params, model.stats, optimizer.init(model.params))
        checkpoints = Checkpoints(folder.checkpoints)
        step, cursor = checkpoints.newest(), inkstream.Cursor(0, 0)
        if step:
            record = checkpoints.record(step)
            folder.check_same(Run.from_json(record["run"]), run)
            state, cursor = checkpoints.state(step, like=state), inkstream.Cursor(*record["cursor"])
        elif request.resume:
            print(f"no checkpoint in {folder.path} yet: starting from the beginning", flush=True)
        folder.describe(run)
        checkpoints.prepare()
        state = parallel.replicate(state)

        # Its two steps, compiled when they are first taken.
        schedule = make_schedule(run.optimization, total_steps)
        smoothing = run.optimization.label_smoothing
        train_step = parallel.train(
            make_train_step(model.graph, run.pixels, optimizer, schedule, smoothing=smoothing, seed=seed)
        )
        inference_step = parallel.infer(make_inference_step(model.graph, run.pixels))

        def save() -> None:
            journal.catch_up()
            if step == checkpoints.newest():  # saved already, or nothing is done
                return
            checkpoints.save(step, state, {"cursor": list(cursor), "run": run.to_json()})
            checkpoints.prune(best=journal.best_step())

        def end_epoch() -> None:
            """Validates; if stopped on the way, the epoch has not ended, and resuming the run starts here."""
            figures = {}
            if held_out.validation:
                stream = DeviceInput(client.stream(held_out), parallel, outputs, stopping=stop.asked)
                tally = measure(inference_step, state, stream, len(run.classes))
                if stop.asked():
                    return
                figures = tally.summary()
            journal.end_epoch(step, figures)

        stop.defer()  # from here on a signal lets the step end that is under way
        stream = client.stream(run.pipeline, epochs=epochs, start=cursor)
        figures_shown.begin({"dataset": run.pipeline.dataset, "model": run.model.name}, stream.stats)
        with (
            DeviceInput(stream, parallel, outputs, stopping=stop.asked) as batches,
            ProgressLine(total_steps, "steps", done=step) as progress,
            Journal(folder, progress, step, parallel.steps_ahead, figures_shown.add_step) as journal,
        ):
            if step == (journal.epochs_ended + 1) * steps_per_epoch:
                end_epoch()
            save_is_due = SaveClock(request.cadence)
            try:
                for batch in batches:
                    position = Position(batch.host.epoch, batch.host.step, global_step=step)
                    state, figures = train_step(state, batch.arrays, position)
                    step, cursor = step + 1, batch.host.cursor
                    journal.add_step(step, batch, figures)
                    epoch_ends = step % steps_per_epoch == 0
                    if epoch_ends or save_is_due(step):
                        save()
                    if epoch_ends:
                        end_epoch()
            except inkstream.InkstreamError:
                save()  # the servers are gone, what was learnt is not
                raise
            if stop.exit_code is not None:
                save()
                progress.say(f"stopped after step {step:,} of {total_steps:,}; --resume goes on there")
                return stop.exit_code

    draw_curve(folder.curve, read_rows(folder.steps), read_rows(folder.epochs))
    print(f"the model is in {folder.path}, its learning curve in {folder.curve}", flush=True)
    return EXIT_DONE
