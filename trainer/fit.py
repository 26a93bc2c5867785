"""Training, from the first batch to the learning curve."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import inkstream
from inkstream.command_line import EXIT_DONE
from inkstream.listening import ListenAddress
from inkstream.pipeline import Pipeline
from trainer.agreement import Agreement, Stopped, void_batch
from trainer.checkpoints import Checkpoints, SaveClock
from trainer.curve import draw_curve
from trainer.devices import choose_devices
from trainer.disk import writing_to
from trainer.folder import RunFolder
from trainer.hosts.cluster import Cluster
from trainer.hosts.joining import joined
from trainer.inference import measure
from trainer.input import DeviceBatch, DeviceInput
from trainer.interrupts import StopSignals
from trainer.journal import Journal, NoJournal
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
from trainer.under_way import StepsUnderWay


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
        cluster: The processes that train together; None for this one alone.
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
    cluster: Cluster | None


def fit(request: FitRequest) -> int:
    """Trains a model and returns the exit code.

    Raises:
        UsageError: The request makes no sense, or not for what `out` holds.
        InkstreamError: The servers refuse or fail.
        Failure: The disk is full, or other processes did not come; of those that came and failed, `trainer.hosts.peers`
            tells.
    """
    with (
        StopSignals() as stop,
        joined(request.cluster) as peers,
        metrics_port(request.metrics) as figures_shown,
        request.service.connect() as client,
        writing_to(request.out, "and go on with --resume"),
    ):
        folder = RunFolder(request.out)  # process 0 reads and writes it, the others never look at it
        if peers.first:
            folder.check_free(request.resume)
        parallel = Parallel(choose_devices(request.devices))
        parallel.check_batch_size(request.pipeline.batch_size)

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
        step, cursor = 0, inkstream.Cursor(0, 0)
        if peers.first:
            step = checkpoints.newest()
            if step:
                record = checkpoints.record(step)
                folder.check_same(Run.from_json(record["run"]), run)
                state, cursor = checkpoints.state(step, like=state), inkstream.Cursor(*record["cursor"])
            elif request.resume:
                print(f"no checkpoint in {folder.path} yet: starting from the beginning", flush=True)
            folder.describe(run)
            checkpoints.prepare()
        agreement, shard = Agreement(peers, stop), (peers.process, peers.processes)
        compression = request.service.compression
        step, cursor = agreement.begin(run, request.devices, step, cursor)
        state = parallel.replicate(state)

        # Its two steps, compiled when they are first taken.
        schedule = make_schedule(run.optimization, total_steps)
        smoothing = run.optimization.label_smoothing
        train_step = parallel.train(
            make_train_step(model.graph, run.pixels, optimizer, schedule, smoothing=smoothing, seed=seed)
        )
        inference_step = parallel.infer(make_inference_step(model.graph, run.pixels))

        def shared(stream: inkstream.Stream) -> AbstractContextManager[Iterator[DeviceBatch]]:
            batches = DeviceInput(stream, parallel, outputs, stopping=stop.asked)
            return agreement.until_one_stops(batches, void)

        def save() -> None:
            under_way.catch_up()
            if not peers.first or under_way.step == checkpoints.newest():  # saved already, or nothing is done
                return
            record = {"cursor": list(under_way.cursor), "run": run.to_json()}
            checkpoints.save(under_way.step, state, record)
            checkpoints.prune(best=journal.best_step())

        def end_epoch() -> None:
            """Validates; if stopped on the way, the epoch has not ended, and resuming the run starts here."""
            figures = {}
            if held_out.validation:
                batches = shared(client.stream(held_out, shard=shard, compression=compression))
                tally = measure(inference_step, state, batches, len(run.classes), report=lambda done: peers.moved())
                figures = tally.summary()
            journal.end_epoch(step, figures)

        stop.defer()  # from here on a signal lets the step end that is under way
        image_shape = (run.pipeline.render.size, run.pipeline.render.size, run.pipeline.render.channels)
        void = void_batch(parallel, run.pipeline.batch_size // peers.processes, image_shape)
        stream = client.stream(run.pipeline, epochs=epochs, start=cursor, shard=shard, compression=compression)
        figures_shown.begin({"dataset": run.pipeline.dataset, "model": run.model.name}, stream.stats)
        with (
            shared(stream) as batches,
            ProgressLine(total_steps, "steps", done=step, quiet=not peers.first) as progress,
            Journal(folder, progress, step, figures_shown.add_step) if peers.first else NoJournal() as journal,
        ):
            under_way = StepsUnderWay(step, cursor, parallel.steps_ahead, journal.add_step)
            save_is_due = SaveClock(request.cadence)
            try:
                if step == (peers.from_first("epochs ended", journal.epochs_ended) + 1) * steps_per_epoch:
                    end_epoch()
                for batch in batches:
                    position = Position(batch.host.epoch, batch.host.step, global_step=step)
                    state, figures = train_step(state, batch.arrays, position)
                    step += 1
                    under_way.add(step, batch, figures)
                    peers.moved()
                    epoch_ends = step % steps_per_epoch == 0
                    if epoch_ends or save_is_due(step):
                        save()
                    if epoch_ends:
                        end_epoch()
            except Stopped:
                save()
                progress.say(f"stopped after step {under_way.step:,} of {total_steps:,}; --resume goes on there")
                return agreement.conclude()
            except inkstream.InkstreamError:
                save()  # the servers are gone, what was learnt is not
                raise

    if peers.first:
        draw_curve(folder.curve, read_rows(folder.steps), read_rows(folder.epochs))
        print(f"the model is in {folder.path}, its learning curve in {folder.curve}", flush=True)
    return EXIT_DONE
