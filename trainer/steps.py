"""One step of training and one of inference, as pure functions of what a device holds."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from trainer import classification
from trainer.models.layers import MaskedBatchNorm, TrainingRows
from trainer.optimization.depth import frozen_stages, united
from trainer.optimization.mixup import mixing
from trainer.optimization.settings import Optimization
from trainer.optimization.updates import Gathered, TrainState, Updates, Weights, select
from trainer.parallel import gather_rows, sum_over_devices
from trainer.randomness import Position, row_keys

Batch = Mapping[str, jax.Array]
# A device's rows: `image` uint8 [rows, size, size, channels], `label` int32 [rows] (an output of the model, anything
# where mask is 0), `mask` float32 [rows], `weight` float32 [rows] (in the loss, 0 where mask is 0) and `void` float32
# [rows], 1 if the global batch must not count.


class Pixels(NamedTuple):
    """How pixels become numbers: (x / 255 - mean) / std, a mean and a std per channel."""

    mean: list[float]
    std: list[float]

    def normalize(self, images: jax.Array) -> jax.Array:
        """float32 of uint8 `[rows, size, size, channels]`."""
        factor = 1 / (255 * jnp.array(self.std))
        return images.astype(jnp.float32) * factor - jnp.array(self.mean) / jnp.array(self.std)


def make_train_step(
    graph: Any, pixels: Pixels, settings: Optimization, updates: Updates, *, seed: int
) -> Callable[[TrainState, Batch, Position, float], tuple[TrainState, dict[str, jax.Array]]]:
    """The function `(state, batch, position, rate_scale) -> (state, figures)`.

    `rate_scale` is a factor on the learning rate. Figures are float32 scalars over the global batch: mean `loss`,
    `correct` (samples guessed right), `samples`, `learning_rate` and `void`, which is not 0 where a row is void. Then,
    and without samples, nothing is learnt from the batch.
    """

    def train_step(
        state: TrainState, batch: Batch, position: Position, rate_scale: float
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        labels, mask = batch["label"], batch["mask"]
        rows = TrainingRows(mask, row_keys(seed, position, len(labels)))
        mixed = mixing(rows, settings.mixup)
        images = mixed(pixels.normalize(batch["image"]))

        stay, trained = updates.parts(state.weights.params)
        frozen = updates.frozen(state.weights.params)

        def objective(trained: Any) -> tuple[jax.Array, tuple[Any, jax.Array]]:
            params = as_computed(united(stay, trained), settings.compute)
            model = nnx.merge(graph, params, state.weights.stats)
            logits = model(images.astype(settings.compute), rows, frozen=frozen).astype(jnp.float32)
            targets = mixed(classification.targets(labels, batch["weight"], logits.shape[-1], settings.label_smoothing))
            stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
            return classification.losses(logits, targets).sum(), (stats, logits)

        (loss, (stats, logits)), gradients = jax.value_and_grad(objective, has_aux=True)(trained)
        correct = ((logits.argmax(-1) == labels) * mask).sum()
        loss, correct, samples, void, total = sum_over_devices(
            (loss, correct, mask.sum(), batch["void"].sum(), Gathered(gradients, mixed(batch["weight"]).sum()))
        )
        learning_rate = updates.learning_rate(position, rate_scale)
        stats = select(samples > 0, stats, state.weights.stats)
        after = select(void == 0, updates.after(state, total, stats, position, learning_rate), state)
        figures = {
            "loss": loss / jnp.where(total.weight > 0, total.weight, 1),
            "correct": correct,
            "samples": samples,
            "learning_rate": learning_rate,
            "void": void,
        }
        return after, {name: jnp.float32(value) for name, value in figures.items()}

    return train_step


def make_statistics_step(
    graph: Any, pixels: Pixels, settings: Optimization, *, seed: int
) -> Callable[[Weights, Batch, Position, float], tuple[Weights, dict[str, jax.Array]]]:
    """The function `(weights, batch, position, kept) -> (weights, figures)` that trains nothing.

    The running statistics become `kept` of what they were and 1 - `kept` of the batch's; with `kept` = 1 -
    the batch's rows / all rows so far, they are the mean over batches by their rows. Dropout is as in training. There
    are no figures.
    """

    def statistics_step(
        weights: Weights, batch: Batch, position: Position, kept: float
    ) -> tuple[Weights, dict[str, jax.Array]]:
        rows = TrainingRows(batch["mask"], row_keys(seed, position, len(batch["mask"])))
        model = nnx.merge(graph, as_computed(weights.params, settings.compute), weights.stats)
        for _, module in nnx.iter_modules(model):
            if isinstance(module, MaskedBatchNorm):
                module.momentum = kept
        images = pixels.normalize(batch["image"]).astype(settings.compute)
        model(images, rows, frozen=frozen_stages(weights.params, settings.freeze))
        return weights._replace(stats=nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))), {}

    return statistics_step


def make_inference_step(graph: Any, pixels: Pixels, compute: str) -> Callable[[Weights, Batch], dict[str, jax.Array]]:
    """The function `(weights, batch) -> rows`, using the running statistics; `compute` is the type of arithmetic.

    Rows are those of the global batch, `[devices, rows]`: `log_probabilities` float32 with a third axis of classes, and
    `label`, `mask` and `void` as they were given.
    """

    def inference_step(weights: Weights, batch: Batch) -> dict[str, jax.Array]:
        logits = logits_of(graph, pixels, compute, weights, batch["image"])
        rows = {"log_probabilities": jax.nn.log_softmax(logits)}
        return gather_rows(rows | {name: batch[name] for name in ("label", "mask", "void")})

    return inference_step


def logits_of(graph: Any, pixels: Pixels, compute: str, weights: Weights, images: jax.Array) -> jax.Array:
    """float32 `[rows, classes]` for uint8 `[rows, size, size, channels]`, by the running statistics."""
    model = nnx.merge(graph, as_computed(weights.params, compute), weights.stats)
    return model(pixels.normalize(images).astype(compute), None).astype(jnp.float32)


def as_computed(params: Any, compute: str) -> Any:
    """Parameters in the type of the model's arithmetic; their gradients come back as float32."""
    return jax.tree.map(lambda param: param.astype(compute), params)
