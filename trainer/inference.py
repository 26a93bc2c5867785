"""Running a model over a stream: validation, evaluation and prediction are this and what each does with the rows."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from trainer.input import DeviceBatch
from trainer.metrics import Tally
from trainer.parallel import joined
from trainer.updates import Weights

InferenceStep = Callable[..., dict[str, Any]]
Input = AbstractContextManager[Iterator[DeviceBatch]]


def infer(step: InferenceStep, weights: Weights, batches: Input) -> Iterator[tuple[DeviceBatch, dict[str, np.ndarray]]]:
    """Each batch with what `trainer.steps.make_inference_step` says of the global one's rows, as arrays `[batch, ...]`.

    A void batch ends it.
    """
    with batches as stream:
        for batch in stream:
            rows = {name: joined(array) for name, array in step(weights, batch.arrays).items()}
            if rows["void"].any():
                return
            yield batch, rows


def measure(
    step: InferenceStep,
    weights: Weights,
    batches: Input,
    classes: int,
    report: Callable[[int], None] = lambda batches: None,
) -> Tally:
    """The tally of all labelled samples of a stream; `report` is told how many batches are done."""
    tally = Tally(classes)
    for done, (_, rows) in enumerate(infer(step, weights, batches), start=1):
        tally.add(rows["loss"], rows["rank"], rows["label"], rows["mask"])
        report(done)
    return tally
