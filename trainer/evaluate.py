"""Measuring a trained model on a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inkstream
from inkstream.command_line import UsageError
from trainer.devices import choose_devices
from trainer.inference import measure
from trainer.input import DeviceInput
from trainer.interrupts import StopSignals
from trainer.parallel import Parallel
from trainer.progress import ProgressLine
from trainer.run import Run, output_classes, outputs_of_labels
from trainer.service import Service
from trainer.steps import make_inference_step
from trainer.trained import load, pipeline_for


@dataclass(frozen=True)
class EvaluateRequest:
    """What `trainer evaluate` was asked to do.

    Args:
        run_folder: Of the run.
        checkpoint: `best`, `last` or a number.
        service: The batch servers.
        dataset: Its name there.
        split: `train`, `validation` or `all`.
        classes: Only these; None means those that the run was restricted to.
        batch_size: None means the run's.
        devices: See `trainer.devices`.
    """

    run_folder: Path
    checkpoint: str
    service: Service
    dataset: str
    split: str
    classes: list[str] | None
    batch_size: int | None
    devices: str


def evaluate(request: EvaluateRequest) -> dict[str, Any]:
    """The figures of `trainer.metrics.Tally.summary`, and `classes`: name, samples, top-1 and top-3 of each.

    Raises:
        UsageError: The dataset has a class that the model does not know.
        InkstreamError: The servers refuse or fail.
    """
    with StopSignals(), request.service.connect() as client:
        parallel = Parallel(choose_devices(request.devices))
        trained = load(request.run_folder, request.checkpoint)
        run = trained.run
        infer_rows = parallel.infer(make_inference_step(trained.graph, run.pixels, run.optimization.compute))
        only = run.pipeline.filter or inkstream.Filter()
        if request.classes is not None:
            only = inkstream.Filter(tuple(request.classes), only.countries, only.recognized)
        pipeline = pipeline_for(run, request.dataset, request.split, request.batch_size, only)
        parallel.check_batch_size(pipeline.batch_size)
        resolved = client.resolve(pipeline)
        check_known(run, output_classes(resolved.classes, pipeline), request.dataset)
        stream = client.stream(pipeline, compression=request.service.compression)
        batches = DeviceInput(stream, parallel, outputs_of_labels(resolved.classes, run.classes))
        with ProgressLine(resolved.steps_per_epoch, "batches", stderr=True) as progress:
            tally = measure(
                infer_rows,
                parallel.replicate(trained.weights),
                batches,
                len(run.classes),
                report=lambda done: progress.update(done, "evaluating"),
            )
    return {
        "step": trained.step,
        **tally.summary(),
        "classes": [
            {"name": name, "samples": int(samples), "top1": float(first / samples), "top3": float(third / samples)}
            for name, samples, first, third in zip(run.classes, tally.samples, tally.first, tally.third, strict=True)
            if samples
        ],
    }


def check_known(run: Run, classes: tuple[str, ...], dataset: str) -> None:
    """Refuses classes that the model has no output for.

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
