"""Figures of merit of a classifier, from the place that each sample's right class got."""

from dataclasses import dataclass, field

import numpy as np

from inkstream.command_line import Failure
from trainer import classification
from trainer.classification import GUESSES


@dataclass
class Tally:
    """Collects them, batch by batch.

    Args:
        classes: Number of classes.
    """

    classes: int
    loss: float = 0.0
    reciprocal: float = 0.0
    samples: np.ndarray = field(init=False)  # int64 [classes]
    first: np.ndarray = field(init=False)  # int64 [classes], rank 0
    third: np.ndarray = field(init=False)  # int64 [classes], rank below 3

    def __post_init__(self) -> None:
        self.samples, self.first, self.third = (np.zeros(self.classes, np.int64) for _ in range(3))

    def add(self, log_probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Adds samples.

        Args:
            log_probabilities: float32 `[samples, classes]`.
            labels: int32 `[samples]`, 0 to classes - 1.
        """
        ranks = classification.ranks(log_probabilities, labels)
        right = np.take_along_axis(log_probabilities, labels[:, None], axis=-1)
        self.loss -= float(right.sum(dtype=np.float64))
        self.reciprocal += float((1 / (ranks[ranks < GUESSES] + 1)).sum())
        self.samples += np.bincount(labels, minlength=self.classes)
        self.first += np.bincount(labels[ranks == 0], minlength=self.classes)
        self.third += np.bincount(labels[ranks < GUESSES], minlength=self.classes)

    def summary(self) -> dict[str, float]:
        """Mean `loss`, `top1`, `top3`, `map3` and `class_mean` (of the per-class top-1), and `samples`.

        MAP@3 is the competition's: 1, 1/2 or 1/3 for the right class at the first, second or third place.

        Raises:
            Failure: No sample was added.
        """
        total = int(self.samples.sum())
        if total == 0:
            raise Failure("none of the samples has a label: there is nothing to measure")
        seen = self.samples > 0
        return {
            "loss": self.loss / total,
            "top1": int(self.first.sum()) / total,
            "top3": int(self.third.sum()) / total,
            "map3": self.reciprocal / total,
            "class_mean": float((self.first[seen] / self.samples[seen]).mean()),
            "samples": total,
        }
