"""Running a model over a stream: validation while training is this, and what evaluating and predicting are made of."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from trainer.input import DeviceBatch
from trainer.metrics import Tally
from trainer.optimization.updates import Weights
from trainer.parallel import joined

InferenceStep = Callable[..., dict[str, Any]]
Input = AbstractContextManager[Iterator[DeviceBatch]]


class Rows(NamedTuple):
    """What is known of the rows of a global batch, in host memory.

    Args:
        log_probabilities: float32 `[rows, classes]`.
        labels: int32 `[rows]`, an output of the model; anything where the mask is 0.
        mask: float32 `[rows]`, 0 for rows that do not count.
    """

    log_probabilities: np.ndarray
    labels: np.ndarray
    mask: np.ndarray

    def labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities and labels of the rows that count."""
        return self.log_probabilities[self.mask != 0], self.labels[self.mask != 0]


def infer(step: InferenceStep, weights: Weights, batches: Input) -> Iterator[Rows]:
    """What `step` (`trainer.steps.make_inference_step`) says of each batch. A void batch ends it."""
    with batches as stream:
        for batch in stream:
            rows = {name: joined(array) for name, array in step(weights, batch.arrays).items()}
            if rows["void"].any():
                return
            yield Rows(rows["log_probabilities"], rows["label"], rows["mask"])


def measure(
    step: InferenceStep,
    weights: Weights,
    batches: Input,
    classes: int,
    report: Callable[[int], None] = lambda batches: None,
) -> Tally:
    """The tally of all labelled samples of a stream; `report` is told how many batches are done."""
    tally = Tally(classes)
    for done, rows in enumerate(infer(step, weights, batches), start=1):
        tally.add(*rows.labelled())
        report(done)
    return tally
