"""Several models, and several views of each sample, as one: the arithmetic mean of their probabilities.

A single model that is shown plain pictures is an ensemble of one: its figures are those of its validation, to the bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

import inkstream
from inkstream.budget import DEFAULT_BUDGET_BYTES
from inkstream.command_line import Failure, UsageError
from inkstream.pipeline import Filter, Pipeline
from trainer.classification import averaged
from trainer.inference import InferenceStep, Rows
from trainer.input import DeviceBatch, DeviceInput, HostBatch
from trainer.optimization.updates import Weights
from trainer.parallel import Parallel, joined
from trainer.prediction.views import View, Views
from trainer.records.trained import Trained
from trainer.run import Run, outputs_of_labels
from trainer.service import Service
from trainer.steps import make_inference_step

# What each of many streams may read ahead, where an equal share of a stream's usual memory is less.
_LEAST_LEAD_BYTES = 64 << 20
_LEAST_LEAD_BATCHES = 8


@dataclass(frozen=True)
class Samples:
    """Which samples are looked at, in dataset order.

    Args:
        dataset: Its name on the servers.
        split: `train`, `validation` or `all`.
        only: Which of them pass; None lets all pass.
        batch_size: None means that of the first model's training.
    """

    dataset: str
    split: str
    only: Filter | None
    batch_size: int | None


@dataclass(frozen=True)
class _Member:
    """A model on the devices.

    Args:
        step: Its inference.
        weights: Replicated.
        outputs: Its output for each class of the ensemble.
        views: What it is shown.
    """

    step: InferenceStep
    weights: Weights
    outputs: list[int]
    views: list[View]

    def log_probabilities(self, batch: DeviceBatch) -> np.ndarray:
        """float32 `[rows, classes of the ensemble]`."""
        return joined(self.step(self.weights, batch.arrays)["log_probabilities"])[:, self.outputs]


class Ensemble:
    """Models that look at the same samples, each at pictures like those that it was trained on.

    Attributes:
        classes: Of each output; the first model's order.
        plain: Pipeline of the first model's pictures, as people may be shown them.
    """

    def __init__(self, models: Sequence[Trained], samples: Samples, views: Views, parallel: Parallel):
        """Puts the models on the devices.

        Args:
            models: At least one.
            samples: What they look at.
            views: In which views.
            parallel: The devices.

        Raises:
            UsageError: They know different classes, were validated on different samples, or there is nothing to vary.
        """
        first = models[0]
        self._models, self._parallel = models, parallel
        self.classes = first.run.classes
        batch_size = first.run.pipeline.batch_size if samples.batch_size is None else samples.batch_size
        self.plain = _plain(first.run, samples, batch_size)
        parallel.check_batch_size(self.plain.batch_size)
        steps: dict[Run, InferenceStep] = {}
        self._members = []
        for model in models:
            _check_alike(first, model, samples.split)
            run = model.run
            if run not in steps:  # checkpoints of one run are compiled once
                steps[run] = parallel.infer(make_inference_step(model.graph, run.pixels, run.optimization.compute))
            outputs = [run.classes.index(name) for name in self.classes]
            shown = views.of(run.pipeline, _plain(run, samples, self.plain.batch_size))
            self._members.append(_Member(steps[run], parallel.replicate(model.weights), outputs, shown))
        self._views = list(dict.fromkeys(view for member in self._members for view in member.views))

    @property
    def streams(self) -> int:
        """How many streams of pictures are read at once."""
        return len(self._views)

    def identity(self, client: inkstream.Client) -> dict[str, Any]:
        """All that decides what it says, as JSON can hold it.

        Raises:
            InkstreamError: The servers refuse what is to be shown, or fail.
        """
        digests = {pipeline: client.resolve(pipeline).digest for pipeline in {view.pipeline for view in self._views}}
        return {
            "models": [[model.run.to_json(), model.digest] for model in self._models],
            "views": [[[digests[view.pipeline], view.epoch] for view in member.views] for member in self._members],
        }

    def infer(
        self,
        client: inkstream.Client,
        service: Service,
        classes: Sequence[str],
        *,
        first_step: int = 0,
        labelled: bool = True,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[HostBatch, Rows]]:
        """Each batch of plain pictures with what the ensemble says of it; the views are read in lockstep.

        Args:
            client: Of the servers.
            service: How pictures travel.
            classes: Of the dataset, in label order.
            first_step: Where to begin.
            labelled: Whether rows without a label do not count.
            stopping: Whether to end before the next batch.

        Raises:
            InkstreamError: The servers refuse or fail.
        """
        outputs = outputs_of_labels(classes, self.classes)
        with ExitStack() as stack:
            inputs = []
            for pipeline, epoch in self._views:
                stream = client.stream(
                    pipeline,
                    epochs=epoch + 1,
                    start=(epoch, first_step),
                    compression=service.compression,
                    memory_bytes=_lead_bytes(pipeline, self.streams),
                )
                device_input = DeviceInput(stream, self._parallel, outputs, labelled=labelled, stopping=stopping)
                inputs.append(stack.enter_context(device_input))
            for batches in zip(*inputs, strict=False):  # epochs are equally long; a stop ends whichever it meets first
                _check_same_rows([batch.host for batch in batches])
                shown = dict(zip(self._views, batches, strict=True))
                said = [member.log_probabilities(shown[view]) for member in self._members for view in member.views]
                host, arrays = batches[0].host, batches[0].arrays
                yield host, Rows(averaged(said), joined(arrays["label"]), joined(arrays["mask"]))


def _plain(run: Run, samples: Samples, batch_size: int) -> Pipeline:
    """Pictures as the run's were drawn, but not varied."""
    return run.pipeline.replace(
        dataset=samples.dataset,
        split=samples.split,
        batch_size=batch_size,
        seed=0,  # nothing is random: models of other seeds share the pictures
        augment=None,
        shuffle=False,
        class_balanced=False,
        filter=samples.only,
    )


def _check_alike(first: Trained, model: Trained, split: str) -> None:
    """Refuses models that cannot be averaged.

    Raises:
        UsageError: Names the runs and what differs.
    """
    ours, theirs = set(first.run.classes), set(model.run.classes)
    if ours != theirs:
        name = min(ours ^ theirs)
        knows, not_ = (first, model) if name in ours else (model, first)
        raise UsageError(
            f"only models of the same classes can be averaged: {knows.path} knows {name!r}, {not_.path} does not"
        )
    before, now = first.run.pipeline.validation, model.run.pipeline.validation
    if split != "all" and before != now:
        raise UsageError(
            f"{first.path} held out {before:g} of the samples for validation, {model.path} {now:g}: one was trained on "
            "samples that the other holds out. Set --split all, or average runs of the same --validation"
        )


def _check_same_rows(batches: Sequence[HostBatch]) -> None:
    """What the order of a dataset promises: the views of a step are of the same samples.

    Raises:
        Failure: A server broke it.
    """
    for batch in batches[1:]:
        if not np.array_equal(batch["key_id"], batches[0]["key_id"]):
            raise Failure(f"the views of step {batch.step} are of different samples: a server does not keep the order")


def _lead_bytes(pipeline: Pipeline, streams: int) -> int:
    """The `memory_bytes` of one of several streams."""
    render = pipeline.render
    batch_bytes = pipeline.batch_size * render.size**2 * render.channels
    least = max(_LEAST_LEAD_BYTES, _LEAST_LEAD_BATCHES * batch_bytes)
    return max(DEFAULT_BUDGET_BYTES // streams, min(DEFAULT_BUDGET_BYTES, least))
