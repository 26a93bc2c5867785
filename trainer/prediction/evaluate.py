"""Measuring trained models on a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inkstream
from inkstream.command_line import UsageError
from inkstream.pipeline import Filter
from trainer.devices import choose_devices
from trainer.disk import writing_to
from trainer.interrupts import StopSignals
from trainer.metrics import Tally
from trainer.parallel import Parallel
from trainer.prediction.ensemble import Ensemble, Samples
from trainer.prediction.report import Report
from trainer.prediction.views import Views
from trainer.progress import ProgressLine
from trainer.records.trained import Trained, load_all
from trainer.run import Run, output_classes
from trainer.service import Service


@dataclass(frozen=True)
class EvaluateRequest:
    """What `trainer evaluate` was asked to do.

    Args:
        run_folders: Of the runs whose models are averaged.
        checkpoints: Of each of them, as `trainer.records.trained.load` takes them.
        views: What the models are shown.
        service: The batch servers.
        dataset: Its name there.
        split: `train`, `validation` or `all`.
        classes: Only these; None means those that the runs were restricted to.
        batch_size: None means the first run's.
        devices: See `trainer.devices`.
        report: Folder for tables and pictures, or None.
    """

    run_folders: list[Path]
    checkpoints: list[str]
    views: Views
    service: Service
    dataset: str
    split: str
    classes: list[str] | None
    batch_size: int | None
    devices: str
    report: Path | None


def evaluate(request: EvaluateRequest) -> dict[str, Any]:
    """The figures of `trainer.metrics.Tally.summary`, and `classes`: name, samples, top-1 and top-3 of each.

    Of a single model `step` is its checkpoint; `models` names all, with their checkpoints.

    Raises:
        UsageError: The dataset has a class that the models do not know, or they cannot be averaged.
        InkstreamError: The servers refuse or fail.
    """
    with StopSignals(), request.service.connect() as client:
        parallel = Parallel(choose_devices(request.devices))
        models = load_all(request.run_folders, request.checkpoints)
        samples = Samples(request.dataset, request.split, _filter(models, request.classes), request.batch_size)
        ensemble = Ensemble(models, samples, request.views, parallel)
        resolved = client.resolve(ensemble.plain)
        check_known(models[0].run, output_classes(resolved.classes, ensemble.plain), request.dataset)
        tally = Tally(len(ensemble.classes))
        report = Report(ensemble.classes, ensemble.plain.render) if request.report is not None else None
        with ProgressLine(resolved.steps_per_epoch, "batches", stderr=True) as progress:
            for batch, rows in ensemble.infer(client, request.service, resolved.classes):
                tally.add(*rows.labelled())
                if report is not None:
                    report.add(batch, rows)
                progress.update(batch.step + 1, "evaluating")
    figures = tally.summary()
    if request.report is not None and report is not None:
        with writing_to(request.report, "and evaluate again"):
            report.write(request.report, tally)
    return {
        "models": [{"run": str(model.path), "checkpoint": model.checkpoint, "step": model.step} for model in models],
        "step": models[0].step,
        **figures,
        "classes": [
            {"name": name, "samples": int(samples), "top1": float(first / samples), "top3": float(third / samples)}
            for name, samples, first, third in zip(
                ensemble.classes, tally.samples, tally.first, tally.third, strict=True
            )
            if samples
        ],
    }


def _filter(models: list[Trained], classes: list[str] | None) -> Filter | None:
    """Lets pass what the runs let pass.

    Raises:
        UsageError: That is not the same for all.
    """
    filters = [model.run.pipeline.filter or inkstream.Filter() for model in models]
    if classes is not None:
        filters = [Filter(tuple(classes), only.countries, only.recognized) for only in filters]
    for model, only in zip(models, filters, strict=True):
        if only != filters[0] and set(model.run.classes) == set(models[0].run.classes):  # else nothing can be averaged
            raise UsageError(
                f"{models[0].path} and {model.path} were trained on samples that were chosen differently (--classes, "
                "--countries, --recognized): they can be averaged by `trainer predict`"
            )
    return filters[0]


def check_known(run: Run, classes: tuple[str, ...], dataset: str) -> None:
    """Refuses classes that a run's model has no output for.

    Raises:
        UsageError: Names them.
    """
    unknown = [name for name in classes if name not in set(run.classes)]
    if unknown:
        named = ", ".join(map(repr, unknown[:5])) + (f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else "")
        raise UsageError(
            f"the model does not know {len(unknown):,} of the classes of dataset {dataset!r}: {named}. "
            "Choose those that it knows by --classes"
        )
