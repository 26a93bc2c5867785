"""How much each row counts in the loss: by its class, and by its key id."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

import inkstream
from inkstream.command_line import UsageError
from inkstream.pipeline import MIN_SIZE_PX, Pipeline, Render
from trainer.optimization.settings import BALANCED, Optimization
from trainer.run import Run
from trainer.sample_weights import SampleWeights

_BATCH = 4096  # rows of a pass over the key ids
NAMED = 5  # how many classes a message names


@dataclass(frozen=True, eq=False)
class RowWeights:
    """Weights of the rows of a batch.

    Args:
        outputs: float32 `[outputs of the model]`, of each class.
        samples: Of single samples.
    """

    outputs: np.ndarray
    samples: SampleWeights | None = None

    @classmethod
    def resolve(cls, client: inkstream.Client, run: Run, samples: SampleWeights | None) -> "RowWeights":
        """The weights of a run; raises as `weights_of_classes` does."""
        dataset = client.dataset(run.pipeline.dataset)
        counts = dict(zip(dataset.classes, dataset.class_counts, strict=True))
        counted = [counts[name] for name in run.classes]
        return cls(weights_of_classes(run.optimization, run.classes, counted), samples)

    def of(self, labels: np.ndarray, key_ids: np.ndarray) -> np.ndarray:
        """float32 `[rows]`.

        Args:
            labels: int32 `[rows]`, outputs of the model.
            key_ids: uint64 `[rows]`.
        """
        weights = self.outputs[labels]
        return weights if self.samples is None else weights * self.samples.of(key_ids)


def weights_of_classes(settings: Optimization, classes: Sequence[str], counts: Sequence[int]) -> np.ndarray:
    """The weight of each class, float32 `[classes]`.

    `balanced` is the rule of scikit-learn: samples / (classes * samples of the class): the mean over rows is 1.

    Args:
        settings: Of the run.
        classes: The class of each output of the model.
        counts: Samples of each of them in the dataset.

    Raises:
        UsageError: A class that is named is none of them.
    """
    if settings.class_weights == BALANCED:
        samples = np.maximum(np.array(counts, np.float64), 1)
        return (samples.sum() / (len(classes) * samples)).astype(np.float32)
    given = dict(settings.class_weights)  # type: ignore[arg-type]
    if unknown := sorted(given.keys() - set(classes)):
        raise UsageError(
            f"--class-weights names classes that are not trained on: {', '.join(map(repr, unknown))}. There are "
            f"{', '.join(map(repr, classes[:NAMED]))}{' ...' if len(classes) > NAMED else ''}"
        )
    return np.array([given.get(name, 1.0) for name in classes], np.float32)


def key_ids(client: inkstream.Client, dataset: str) -> Iterator[np.ndarray]:
    """The key ids of all samples of a dataset, uint64 `[batch]`, with the smallest pictures that there are."""
    smallest = Pipeline(dataset, batch_size=_BATCH, split="all", shuffle=False, render=Render(size=MIN_SIZE_PX))
    with client.stream(smallest) as stream:
        for batch in stream:
            yield batch["key_id"]
