"""One step of training and one of inference, as pure functions of what a device holds."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from trainer import classification
from trainer.models.layers import TrainingRows
from trainer.optimizers import descend
from trainer.parallel import gather_rows, sum_over_devices
from trainer.randomness import Position, row_keys

Batch = Mapping[str, jax.Array]
# A device's rows: `image` uint8 [rows, size, size, channels], `label` int32 [rows] (an output of the model, anything
# where mask is 0), `mask` float32 [rows] and `void` float32 [rows], 1 if the global batch must not count.


class TrainState(NamedTuple):
    """All that training changes: nested dicts of arrays, and the optimizer's state."""

    params: Any
    stats: Any
    optimizer: Any


class Pixels(NamedTuple):
    """How pixels become numbers: (x / 255 - mean) / std, a mean and a std per channel."""

    mean: list[float]
    std: list[float]

    def normalize(self, images: jax.Array) -> jax.Array:
        """float32 of uint8 `[rows, size, size, channels]`."""
        factor = 1 / (255 * jnp.array(self.std))
        return images.astype(jnp.float32) * factor - jnp.array(self.mean) / jnp.array(self.std)


def make_train_step(
    graph: Any,
    pixels: Pixels,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    *,
    smoothing: float,
    seed: int,
) -> Callable[[TrainState, Batch, Position], tuple[TrainState, dict[str, jax.Array]]]:
    """The function `(state, batch, position) -> (state, figures)`.

    Figures are float32 scalars over the global batch: mean `loss`, `correct` (samples guessed right), `samples`,
    `learning_rate` and `void`, which is not 0 where a row is void. Then, and without samples, nothing changes.
    """

    def train_step(state: TrainState, batch: Batch, position: Position) -> tuple[TrainState, dict[str, jax.Array]]:
        images, labels, mask = pixels.normalize(batch["image"]), batch["label"], batch["mask"]
        samples, void = sum_over_devices((mask.sum(), batch["void"].sum()))
        rows = TrainingRows(mask, row_keys(seed, position, len(labels)))

        def objective(params: Any) -> tuple[jax.Array, tuple[Any, jax.Array]]:
            model = nnx.merge(graph, params, state.stats)
            logits = model(images, rows)
            losses = classification.losses(logits, labels, smoothing)
            stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
            return (losses * mask).sum() / jnp.maximum(samples, 1), (stats, logits)

        (loss, (stats, logits)), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        correct = ((classification.ranks(logits, labels) == 0) * mask).sum()
        loss, correct, gradients = sum_over_devices((loss, correct, gradients))
        learning_rate = schedule(position.global_step)
        updates, slots = optimizer.update(gradients, state.optimizer, state.params)
        after = TrainState(descend(state.params, updates, learning_rate), stats, slots)
        counts = (samples > 0) & (void == 0)
        after = jax.tree.map(lambda new, old: jnp.where(counts, new, old), after, state)
        figures = {"loss": loss, "correct": correct, "samples": samples, "learning_rate": learning_rate, "void": void}
        return after, {name: jnp.float32(value) for name, value in figures.items()}

    return train_step


def make_inference_step(graph: Any, pixels: Pixels) -> Callable[[TrainState, Batch], dict[str, jax.Array]]:
    """The function `(state, batch) -> rows`, using the running statistics; `state.optimizer` is not looked at.

    Rows are those of the global batch, `[devices, rows]`: `loss` float32, `rank` int32 (of the right class), `guesses`
    int32 with a third axis of 3, and `label`, `mask` and `void` as they were given.
    """

    def inference_step(state: TrainState, batch: Batch) -> dict[str, jax.Array]:
        logits = nnx.merge(graph, state.params, state.stats)(pixels.normalize(batch["image"]), None)
        rows = {
            "loss": classification.losses(logits, batch["label"]),
            "rank": classification.ranks(logits, batch["label"]),
            "guesses": classification.guesses(logits),
        }
        return gather_rows(rows | {name: batch[name] for name in ("label", "mask", "void")})

    return inference_step
