"""Training, from the first batch to the learning curve."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import inkstream
from inkstream.command_line import EXIT_DONE
from inkstream.listening import ListenAddress
from inkstream.pipeline import Pipeline
from trainer.agreement import Agreement, Stopped, void_batch
from trainer.devices import choose_devices
from trainer.disk import writing_to
from trainer.hosts.cluster import Cluster
from trainer.hosts.joining import joined
from trainer.inference import measure
from trainer.input import DeviceBatch, DeviceInput
from trainer.interrupts import StopSignals
from trainer.models import build
from trainer.monitoring import metrics_port
from trainer.optimization.patience import Patience
from trainer.optimization.settings import Cadence, Optimization
from trainer.optimization.timetable import Timetable
from trainer.optimization.updates import Updates, Weights
from trainer.parallel import Parallel
from trainer.progress import ProgressLine
from trainer.randomness import Position
from trainer.records.checkpoint_names import checkpoint_names, link_checkpoints
from trainer.records.checkpoints import Checkpoints, SaveClock, keeping
from trainer.records.configuration import Asked, Configuration, environment
from trainer.records.curve import draw_curve
from trainer.records.folder import RunFolder
from trainer.records.journal import Journal, NoJournal
from trainer.records.logs import read_rows
from trainer.records.not_finite import NotFinite
from trainer.records.standing import Standing
from trainer.row_weights import RowWeights, key_ids
from trainer.run import Run, outputs_of_labels
from trainer.sample_weights import SampleWeights
from trainer.service import Service
from trainer.settings import ModelSettings
from trainer.steps import make_inference_step, make_train_step
from trainer.under_way import StepsUnderWay
from trainer.weights.fitting import pretrained


@dataclass(frozen=True)
class FitRequest:
    """What `trainer fit` was asked to do.

    Args:
        service: The batch servers.
        pipeline: Of the training split, with remainder `pad`.
        model: Which model.
        optimization: How it is trained.
        sample_weights: Those whose digest `optimization` has.
        cadence: When checkpoints are written.
        out: Folder of the run.
        devices: See `trainer.devices`.
        resume: Whether a run in `out` goes on.
        metrics: Where its figures are shown, None not at all.
        tensorboard: Whether event files are written.
        cluster: The processes that train together; None for this one alone.
        asked: What config.json tells of the command, beside all this.
        repeats: The file from which settings were taken, None without one.
    """

    service: Service
    pipeline: Pipeline
    model: ModelSettings
    optimization: Optimization
    sample_weights: SampleWeights | None
    cadence: Cadence
    out: Path
    devices: str
    resume: bool
    metrics: ListenAddress | None
    tensorboard: bool
    cluster: Cluster | None
    asked: Asked
    repeats: Configuration | None


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
        parallel.check_batch_size(request.pipeline.batch_size, in_pairs=request.optimization.mixup > 0)

        # What the servers make of the pipeline decides what the run is.
        resolved = client.resolve(request.pipeline)
        run = Run.resolve(request.model, request.optimization, resolved)
        trained_by = environment([device.device_kind for device in parallel.devices])
        if peers.first and request.repeats is not None:
            for line in request.repeats.check(request.asked, run.to_json(), trained_by):
                print(line, flush=True)
        outputs = outputs_of_labels(resolved.classes, run.classes)
        held_out = run.pipeline.replace(split="validation", augment=None, shuffle=False, class_balanced=False)
        if held_out.validation:
            client.resolve(held_out)  # an empty split is refused now, not at the first evaluation
        settings, timetable = run.optimization, Timetable.of(run.optimization, resolved.steps_per_epoch)
        weights = RowWeights.resolve(client, run, request.sample_weights)

        # The model: new, or as the newest checkpoint has it.
        seed = run.pipeline.seed
        model = build(run.model, run.pictures, classes=len(run.classes), seed=seed)
        updates = Updates(settings, timetable, run.learning_rate)
        state, standing = updates.begin(Weights(model.params, model.stats)), Standing()
        checkpoints = Checkpoints(folder.checkpoints)
        if peers.first:
            newest = checkpoints.newest()
            if newest:
                record = checkpoints.record(newest)
                begun = Run.from_json(record["run"])
                folder.check_same(begun, run)
                run = replace(run, model=begun.model)  # with the digest of the weights that were read then
                state, standing = checkpoints.state(newest, like=state), Standing.from_json(record["standing"])
                standing.check_not_past(timetable.steps)
            else:
                if request.resume:
                    print(f"no checkpoint in {folder.path} yet: starting from the beginning", flush=True)
                model = pretrained(run.model, model, say=print)
                state = updates.begin(Weights(model.params, model.stats))
                if request.sample_weights is not None:
                    request.sample_weights.check_known(key_ids(client, run.pipeline.dataset))
            folder.describe(run, request.asked, trained_by)
            checkpoints.prepare()
        agreement, shard = Agreement(peers, stop), (peers.process, peers.processes)
        compression = request.service.compression
        standing = agreement.begin(run, request.devices, standing)
        state = parallel.replicate(state)

        # Its two steps, compiled when they are first taken.
        train_step = parallel.train(make_train_step(model.graph, run.pixels, settings, updates, seed=seed))
        inference_step = parallel.infer(make_inference_step(model.graph, run.pixels, settings.compute))

        def shared(stream: inkstream.Stream) -> AbstractContextManager[Iterator[DeviceBatch]]:
            batches = DeviceInput(stream, parallel, outputs, weights=weights, stopping=stop.asked)
            return agreement.until_one_stops(batches, void)

        def evaluate() -> Patience:
            """If it is stopped on the way, it has not taken place, and resuming the run starts here."""
            under_way.catch_up()
            figures = {}
            if held_out.validation:
                batches = shared(client.stream(held_out, shard=shard, compression=compression))
                tally = measure(
                    inference_step, state.evaluated, batches, len(run.classes), report=lambda done: peers.moved()
                )
                figures = tally.summary()
            row = journal.add_evaluation(step, figures)
            monitored = peers.from_first(f"monitored after step {step}", row.get(settings.monitor))
            now = patience.after(settings, step, monitored)
            if now.rate_scale < patience.rate_scale:
                journal.say(f"no progress since {settings.monitor} {now.best:.4f}: the learning rate is reduced")
            return now

        def save() -> None:
            under_way.catch_up()
            if not peers.first or not under_way.step:
                return
            if under_way.step > checkpoints.newest():
                now = Standing(under_way.step, under_way.cursor, patience)
                checkpoints.save(under_way.step, state, {"standing": now.to_json(), "run": run.to_json()})
                checkpoints.prune(keeping(request.cadence, timetable, journal.best_step(settings.monitor)))
            names = checkpoint_names(run, timetable, checkpoints.steps(), read_rows(folder.evaluations))
            link_checkpoints(folder, names)

        stop.defer()  # from here on a signal lets the step end that is under way
        image_shape = (run.pipeline.render.size, run.pipeline.render.size, run.pipeline.render.channels)
        void = void_batch(parallel, run.pipeline.batch_size // peers.processes, image_shape)
        stream = client.stream(
            run.pipeline, epochs=timetable.epochs, start=standing.cursor, shard=shard, compression=compression
        )
        figures_shown.begin({"dataset": run.pipeline.dataset, "model": run.model.name}, stream.stats)
        step, patience, record_step = standing.step, standing.patience, figures_shown.add_step
        with (
            shared(stream) as batches,
            ProgressLine(timetable.steps, "steps", done=step, quiet=not peers.first) as progress,
            Journal(folder, progress, step, patience.step, record_step, tensorboard=request.tensorboard)
            if peers.first
            else NoJournal() as journal,
        ):
            under_way = StepsUnderWay(step, standing.cursor, parallel.steps_ahead, journal.add_step)
            save_is_due = SaveClock(request.cadence)
            try:
                if timetable.evaluation(step) and patience.step < step:  # it was stopped in this evaluation
                    patience = evaluate()
                    save()
                for batch in itertools.islice(batches, 0 if patience.exhausted(settings) else timetable.steps - step):
                    position = Position(batch.host.epoch, batch.host.step)
                    state, figures = train_step(state, batch.arrays, position, patience.rate_scale)
                    step += 1
                    under_way.add(step, batch, figures)
                    peers.moved()
                    if timetable.evaluation(step):
                        patience = evaluate()
                        save()
                    elif save_is_due(step):
                        save()
                    if patience.exhausted(settings):
                        since = f"{settings.monitor} {patience.best:.4f}"
                        journal.say(f"ended early after step {step:,}: no progress since {since}")
                        break
            except Stopped:
                save()
                progress.say(f"stopped after step {under_way.step:,} of {timetable.steps:,}; --resume goes on there")
                return agreement.conclude()
            except NotFinite as error:
                raise error.shown(folder.not_finite, run.pipeline.render, under_way.batch) from None
            except inkstream.InkstreamError:
                save()  # the servers are gone, what was learnt is not
                raise

    if peers.first:
        draw_curve(folder.curve, read_rows(folder.steps), read_rows(folder.evaluations))
        print(f"the model is in {folder.path}, its learning curve in {folder.curve}", flush=True)
    return EXIT_DONE
