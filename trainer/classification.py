"""The task of classification: one label per picture."""

from collections.abc import Sequence

import jax
import numpy as np
import optax

GUESSES = 3  # the competition scores three


def targets(labels: jax.Array, weights: jax.Array, classes: int, smoothing: float = 0.0) -> jax.Array:
    """What the model is to say, float32 `[rows, classes]`: each row sums to its weight.

    Args:
        labels: int32 `[rows]`, 0 to classes - 1.
        weights: Of the rows in the loss, float32 `[rows]`, 0 for rows that do not count.
        classes: How many there are.
        smoothing: Share that is spread evenly over all classes (Szegedy et al. 2016), 0 to below 1.
    """
    return weights[:, None] * optax.smooth_labels(jax.nn.one_hot(labels, classes), smoothing)


def losses(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Cross entropy in nats, times the rows' weights, float32 `[rows]`.

    Args:
        logits: `[rows, classes]`.
        targets: As `targets` makes them.
    """
    return optax.softmax_cross_entropy(logits, targets)


def averaged(log_probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """The logarithm of the arithmetic mean of probabilities, float32 `[rows, classes]`; of a single one, itself.

    Args:
        log_probabilities: float32 `[rows, classes]` each, at least one.
    """
    if len(log_probabilities) == 1:
        return log_probabilities[0]
    stacked = np.stack(log_probabilities)
    highest = stacked.max(axis=0)
    return highest + np.log(np.exp(stacked - highest).mean(axis=0))


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are guessed before the right one, int64 `[rows]`; among equals the lower label comes first.

    Args:
        scores: `[rows, classes]`, such as logits or log-probabilities; what is not a number comes before all others.
        labels: int32 `[rows]`, 0 to classes - 1.
    """
    right = np.take_along_axis(scores, labels[:, None], axis=-1)
    before = np.arange(scores.shape[-1]) < labels[:, None]
    return (~(scores <= right) | ((scores == right) & before)).sum(-1)


def guesses(scores: np.ndarray, count: int = GUESSES) -> np.ndarray:
    """The classes with the highest scores, best first, int64 `[rows, min(count, classes)]`; among equals as `ranks`.

    Args:
        scores: float `[rows, classes]`, above minus infinity.
        count: How many, at least 1.
    """
    left, rows = scores.copy(), np.arange(len(scores))  # looking for the largest a few times beats sorting tenfold
    best = np.empty((len(scores), min(count, scores.shape[-1])), np.int64)
    for place in range(best.shape[1]):
        best[:, place] = left.argmax(axis=-1)
        left[rows, best[:, place]] = -np.inf
    return best


def head_indices(labels: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of a dataset as outputs of a model.

    Args:
        labels: int32 `[rows]`, -1 where there is none.
        outputs: int32 `[classes of the dataset]`, the model's output for each label, -1 for none.

    Returns:
        int32 `[rows]`, 0 where there is none, and bool `[rows]`, whether there is one.
    """
    if not len(outputs):
        return np.zeros_like(labels), np.zeros(len(labels), bool)
    found = np.where(labels >= 0, outputs[labels], -1)
    return np.maximum(found, 0).astype(np.int32), found >= 0
