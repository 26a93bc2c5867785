"""The task of classification: one label per picture."""

import jax
import jax.numpy as jnp
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


def ranks(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes are guessed before the right one, int32 `[rows]`; among equals the lower label comes first.

    Args:
        logits: `[rows, classes]`.
        labels: int32 `[rows]`, 0 to classes - 1.
    """
    right = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    before = jnp.arange(logits.shape[-1]) < labels[:, None]
    return ((logits > right) | ((logits == right) & before)).sum(-1)


def guesses(logits: jax.Array) -> jax.Array:
    """The most likely classes, best first, int32 `[rows, min(3, classes)]`."""
    return jax.lax.top_k(logits, min(GUESSES, logits.shape[-1]))[1]


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
