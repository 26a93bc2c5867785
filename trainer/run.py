"""What a run is: its settings, its resolved pipeline and its classes, as every checkpoint records them.

A run may be resumed only as the same run, or the losses would not be those of an undisturbed one.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

import inkstream
from inkstream.command_line import Failure, UsageError
from inkstream.pipeline import Augment, Filter, Pipeline
from inkstream.pipeline_file import PipelineFile, pipeline_from
from trainer.models import MODELS, Pictures
from trainer.optimization.settings import ENDLESS_SCHEDULES, UNVALIDATED_MONITORS, Optimization
from trainer.settings import NORMALIZATIONS, ModelSettings
from trainer.steps import Pixels

FORMAT = 3  # raised by any change of what to_json writes that from_json must know of


@dataclass(frozen=True)
class Run:
    """What was asked for, and what the servers made of it.

    Args:
        model: Which model.
        optimization: How it is trained.
        pipeline: Of the training split.
        digest: Of the pipeline as resolved: equal digests, equal batches.
        fingerprint: Of the dataset.
        renderer_version: Of the servers.
        self_test_digest: Of what the servers draw: it tells apart servers of one version that draw other pixels.
        classes: The class of each output of the model.
    """

    model: ModelSettings
    optimization: Optimization
    pipeline: Pipeline
    digest: str
    fingerprint: str
    renderer_version: int
    self_test_digest: str
    classes: tuple[str, ...]

    @classmethod
    def resolve(cls, model: ModelSettings, optimization: Optimization, resolved: inkstream.Resolved) -> Self:
        """The run that trains `model` on what the servers made of its pipeline.

        Raises:
            UsageError: There are fewer than two classes to tell apart, the pictures are too small for the model, or the
                run would end before its first update.
        """
        pipeline = resolved.pipeline
        least = MODELS[model.name].min_size_px
        if pipeline.render.size < least:
            raise UsageError(f"--size must be at least {least} for {model.name}, got {pipeline.render.size}")
        if optimization.monitor not in UNVALIDATED_MONITORS and not pipeline.validation and optimization.needs_monitor:
            raise UsageError(
                f"--monitor {optimization.monitor} is measured in validation: set --validation above 0, or choose "
                f"{', '.join(UNVALIDATED_MONITORS)}"
            )
        update = min(optimization.accumulate, resolved.steps_per_epoch)
        if optimization.steps is not None and optimization.steps < update:
            raise UsageError(
                f"--steps must be at least {update}, the batches of an update (--accumulate), got {optimization.steps}"
            )
        classes = output_classes(resolved.classes, pipeline)
        if len(classes) < 2:
            raise UsageError(
                f"a model needs at least 2 classes to tell apart, got only {classes[0]!r}: name more by --classes, or "
                "import drawings of other classes"
            )
        return cls(
            model,
            optimization,
            pipeline,
            resolved.digest,
            resolved.fingerprint,
            resolved.renderer.version,
            resolved.renderer.self_test_digest,
            classes,
        )

    @property
    def pictures(self) -> Pictures:
        """What the model is shown."""
        return Pictures(self.pipeline.render.size, self.pipeline.render.channels)

    @property
    def pixels(self) -> Pixels:
        """How pixels become numbers."""
        return Pixels(*NORMALIZATIONS[self.model.normalize].for_channels(self.pipeline.render.channels))

    @property
    def learning_rate(self) -> float:
        """The schedule's highest, for this run's batches."""
        return self.optimization.rate(self.pipeline.batch_size)

    @property
    def pipeline_file(self) -> PipelineFile:
        """From which any batch of the run can be drawn again."""
        return PipelineFile(self.pipeline, self.fingerprint, self.renderer_version)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"format": FORMAT, **dataclasses.asdict(self), "pixels": self.pixels._asdict()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """What `to_json` made.

        Raises:
            Failure: Another version made it.
        """
        if record.get("format") != FORMAT:
            raise Failure(
                f"the run is of format {record.get('format')!r}, this trainer reads {FORMAT}: use its version"
            )
        return cls(
            model=ModelSettings(**{name: _tuples(value) for name, value in record["model"].items()}),
            optimization=Optimization(**{name: _tuples(value) for name, value in record["optimization"].items()}),
            pipeline=pipeline_from(record["pipeline"]),
            digest=record["digest"],
            fingerprint=record["fingerprint"],
            renderer_version=record["renderer_version"],
            self_test_digest=record["self_test_digest"],
            classes=tuple(record["classes"]),
        )

    def differences(self, now: "Run") -> list[str]:
        """Which settings are others `now`, each with both values; none means that this run can go on.

        Where the schedule does not depend on the run's end, that may change. The dataset's name does not matter, its
        fingerprint does. What is in the file of weights does not: it was read when the run began.
        """
        before, after = dict(_flat(self)), dict(_flat(now))
        if self.optimization.schedule in ENDLESS_SCHEDULES:
            after |= {name: before[name] for name in ("optimization.epochs", "optimization.steps")}
        differing = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
        if len(differing) > 1 and "digest" in differing:
            differing.remove("digest")  # it says only that another one differs
        return [f"{name} was {before.get(name)!r}, is {after.get(name)!r}" for name in differing]


def output_classes(classes: Sequence[str], pipeline: Pipeline) -> tuple[str, ...]:
    """The classes that the pipeline's filter lets through, in label order: one output of the model each.

    Args:
        classes: Of the dataset, in label order.
        pipeline: Of the run.

    Raises:
        UsageError: The dataset has none.
    """
    if not classes:
        raise UsageError(f"dataset {pipeline.dataset!r} has no labels, nothing can be learnt from it")
    chosen = pipeline.filter.classes if pipeline.filter is not None else None
    return tuple(name for name in classes if chosen is None or name in chosen)


def outputs_of_labels(classes: Sequence[str], outputs: Sequence[str]) -> np.ndarray:
    """The model's output for each label of a dataset, int32 `[classes]`, -1 where the model has none.

    Args:
        classes: Of the dataset, in label order.
        outputs: The class of each output of the model.
    """
    index = {name: number for number, name in enumerate(outputs)}
    return np.array([index.get(name, -1) for name in classes], np.int32)


def _flat(run: Run) -> Iterator[tuple[str, Any]]:
    """Every setting that matters by its path, as in `render.size`; what is left out of a pipeline has its default."""
    pipeline = dataclasses.asdict(run.pipeline)
    pipeline["augment"] = dataclasses.asdict(run.pipeline.augment or Augment())
    pipeline["filter"] = dataclasses.asdict(run.pipeline.filter or Filter())
    del pipeline["dataset"]
    rest = dataclasses.asdict(run)
    del rest["pipeline"], rest["model"]["weights_digest"]
    yield from _leaves("", pipeline | rest)


def _tuples(value: Any) -> Any:
    """Tuples, which JSON made lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _leaves(prefix: str, tree: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value
