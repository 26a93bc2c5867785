"""The form of every model: stages from the stem on, and a head of one output per class."""

from collections.abc import Callable, Sequence

import jax
from flax import nnx

from trainer.models.blocks import Dense, Stage
from trainer.models.layers import RowDropout, TrainingRows


class Head(nnx.Module):
    """Dropout and a dense layer, after hidden layers where they are asked for."""

    def __init__(self, features: int, classes: int, *, dropout: float, hidden: Sequence[int] = (), rngs: nnx.Rngs):
        """Takes `[rows, features]`.

        Args:
            features: How many.
            classes: Outputs.
            dropout: Probability with which a feature is dropped before each dense layer.
            hidden: Features of the hidden layers, from the first to the last.
            rngs: Of the kernels.
        """
        widths = [features, *hidden]
        self.hidden = nnx.List([Dense(before, after, rngs=rngs) for before, after in zip(widths, hidden, strict=False)])
        self.dropouts = nnx.List([RowDropout(dropout, layer=layer) for layer in range(len(widths))])
        self.out = nnx.Linear(widths[-1], classes, rngs=rngs)

    def __call__(self, x: jax.Array, training: TrainingRows | None) -> jax.Array:
        """Logits `[rows, classes]`."""
        *before_hidden, last = self.dropouts
        for dropout, dense in zip(before_hidden, self.hidden, strict=True):
            x = dense(dropout(x, training), training)
        return self.out(last(x, training))


MakeHead = Callable[[int], Head]  # of how many features the stages make


class Network(nnx.Module):
    """Stages one after another, then the head.

    Where a parameter stands in the tree says how deep it is: below `stages` and the stage's number, or below `head`.
    """

    def __init__(self, stages: Sequence[Stage], head: Head):
        """Of stages that turn pictures into features, and a head."""
        self.stages = nnx.List(stages)
        self.head = head

    def __call__(self, images: jax.Array, training: TrainingRows | None, *, frozen: int = 0) -> jax.Array:
        """Logits `[rows, classes]` of normalized pictures, float32 `[rows, size, size, channels]`.

        The first `frozen` stages work as in evaluation also while training: their batch normalization uses the running
        statistics and leaves them alone, and they drop nothing.
        """
        x = images
        for number, stage in enumerate(self.stages):
            x = stage(x, training if number >= frozen else None)
        return self.head(x, training)
