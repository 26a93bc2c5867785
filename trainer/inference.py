"""Running a model over a stream: validation, evaluation and prediction are this and what each does with the rows."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from trainer.input import DeviceBatch, DeviceInput
from trainer.metrics import Tally
from trainer.parallel import joined
from trainer.steps import TrainState

InferenceStep = Callable[..., dict[str, Any]]


def infer(
    step: InferenceStep, state: TrainState, batches: DeviceInput
) -> Iterator[tuple[DeviceBatch, dict[str, np.ndarray]]]:
    """Each batch with what `trainer.steps.make_inference_step` says of its rows, as arrays `[batch, ...]`."""
    with batches as stream:
        for batch in stream:
            yield batch, {name: joined(rows) for name, rows in step(state, batch.arrays).items()}


def measure(
    step: InferenceStep,
    state: TrainState,
    batches: DeviceInput,
    classes: int,
    report: Callable[[int], None] = lambda batches: None,
) -> Tally:
    """The tally of all labelled samples of a stream; `report` is told how many batches are done."""
    tally = Tally(classes)
    for done, (batch, rows) in enumerate(infer(step, state, batches), start=1):
        tally.add(rows["loss"], rows["rank"], batch.label, batch.mask)
        report(done)
    return tally
